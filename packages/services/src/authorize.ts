/**
 * Who may do what: the one table. A cell names the roles that may; `container` is user code inside a container of the workspace, which never holds a
 * token. What is not in the table nobody may. Doors check it before the verb runs, verbs check it again.
 */
import { ServiceError } from "@squall/core/errors";
import type { Role, ServiceContext } from "./context.ts";

type Who = Role | "container";

const readers = ["owner", "manager", "member", "viewer", "container"] as const;
const people = ["owner", "manager", "member", "viewer"] as const;
const builders = ["owner", "manager", "member"] as const;
const callers = ["owner", "manager", "member", "container"] as const;
const managers = ["owner", "manager"] as const;

const roleTable = {
  workspace: { read: readers },
  environment: { read: readers, write: managers },
  app: { read: readers, write: builders },
  function: { read: readers, write: builders },
  functionCall: { read: readers, write: callers },
  container: { read: readers, write: callers },
  worker: { read: people, write: managers },
  image: { read: readers, write: builders },
  mount: { read: readers, write: builders },
  blob: { read: readers, write: callers },
  secret: { read: readers, write: builders },
  log: { read: people },
  usage: { read: people },
  token: { read: people, write: managers },
} satisfies Record<string, Record<string, readonly Who[]>>;

export type Resource = keyof typeof roleTable;
export type ActionOn<Of extends Resource> = keyof (typeof roleTable)[Of] & string;

/** Throws `permissionDenied` unless the caller's role may do `action` to `resource`. The system itself may do everything. */
export function authorize<Of extends Resource>({ actor }: Pick<ServiceContext<never>, "actor">, resource: Of, action: ActionOn<Of>): void {
  if (actor.kind === "system") return;
  const who: Who = actor.kind === "container" ? "container" : actor.role;
  if (mayDo(who, resource, action)) return;
  const subject = who === "container" ? "Code inside a container" : `Your role (${who})`;
  throw new ServiceError("permissionDenied", `${subject} may not ${action} this: ${resource}. An owner or manager of the workspace can change roles.`);
}

/** As `authorize`, for doors that carry the names as plain text. Throws a plain error for a cell that the table does not have: a bug. */
export function authorizeAccess(ctx: Pick<ServiceContext<never>, "actor">, access: { readonly resource: string; readonly action: string }): void {
  const { resource, action } = parseAccess(access);
  authorize(ctx, resource, action);
}

/** The cell by its names; throws when the table has no such cell. Called for every procedure at boot. */
export function parseAccess({ resource, action }: { readonly resource: string; readonly action: string }): { resource: Resource; action: ActionOn<Resource> } {
  if (!isResource(resource) || !isActionOn(resource, action)) throw new Error(`the role table has no cell ${resource}.${action}`);
  return { resource, action };
}

/** Every cell with its roles, for the matrix that tests and documents are made from. */
export function roleCells(): { readonly resource: Resource; readonly action: string; readonly who: readonly string[] }[] {
  return Object.keys(roleTable)
    .filter(isResource)
    .flatMap((resource) => Object.entries(roleTable[resource]).map(([action, who]) => ({ resource, action, who })));
}

function mayDo(who: Who, resource: Resource, action: string): boolean {
  const cells: Readonly<Record<string, readonly Who[]>> = roleTable[resource];
  return cells[action]?.includes(who) ?? false;
}

function isResource(text: string): text is Resource {
  return Object.hasOwn(roleTable, text);
}

function isActionOn(resource: Resource, text: string): text is ActionOn<Resource> {
  return Object.hasOwn(roleTable[resource], text);
}

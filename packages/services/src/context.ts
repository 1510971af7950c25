/**
 * Who asks, in which workspace, with what means. Doors build it once per request; every verb takes `{ ctx, input }`.
 * A verb asks for the least it uses: `ServiceContext<"db" | "clock">`.
 */
import type { Clock } from "@squall/core/clock";
import type { Id } from "@squall/core/ids";
import type { Random } from "@squall/core/random";
import type { Database } from "@squall/db/database";
import type { ObjectStore } from "@squall/objects/object-store";
import type { Logger } from "./log.ts";
import type { KeyRing } from "./secret/key-ring.ts";

export type Role = "owner" | "manager" | "member" | "viewer";

export type Actor =
  | { readonly kind: "user"; readonly userId: Id<"user">; readonly tokenId: Id<"token"> | undefined; readonly role: Role }
  | { readonly kind: "container"; readonly containerId: Id<"container">; readonly functionId: Id<"function">; readonly appId: Id<"app"> }
  | { readonly kind: "system"; readonly name: string };

/** Made once by `main.ts`; the means of every verb. Verbs of calls and cluster take further engines as parameters of their own. */
export interface ServiceDeps {
  readonly db: Database;
  readonly objects: ObjectStore;
  readonly keys: KeyRing;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface ServiceContext<Needs extends keyof ServiceDeps = keyof ServiceDeps> {
  readonly actor: Actor;
  readonly workspace: { readonly id: Id<"workspace">; readonly name: string };
  readonly requestId: string;
  /** `x-idempotency-key` of the request: constant over the client's attempts. */
  readonly idempotencyKey: string | undefined;
  /** Version of the Modal client that asks (`1.6.4`); undefined for others. */
  readonly clientVersion: string | undefined;
  readonly deps: Pick<ServiceDeps, Needs>;
}

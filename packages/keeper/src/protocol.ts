/** What keeper, child and parent say to each other over Node's IPC channel. Plain JSON; sockets travel beside a `connection`. */

/** Keeper to child. A `connection` carries its socket; the child answers `taken` with the same number. */
export type ToChild =
  | { readonly type: "connection"; readonly door: string; readonly connection: number }
  | { readonly type: "answer"; readonly request: number; readonly doors: readonly string[]; readonly error?: string };

/** Child to keeper. */
export type FromChild =
  | { readonly type: "ready" }
  | { readonly type: "taken"; readonly connection: number }
  | { readonly type: "openDoor"; readonly request: number; readonly name: string; readonly path: string; readonly mode: number }
  | { readonly type: "closeDoor"; readonly request: number; readonly name: string }
  | { readonly type: "doors"; readonly request: number };

/** Keeper to whoever started it, if that was by IPC: where its doors are, and the pid of each child as it starts and as it becomes ready. */
export type ToParent =
  | { readonly type: "door"; readonly name: string; readonly host: string; readonly port: number }
  | { readonly type: "child"; readonly pid: number }
  | { readonly type: "ready"; readonly pid: number };

/** Messages of this protocol stand on a private channel between two processes of one build: their `type` decides, nothing else is checked. */
export function asMessage<Message extends { readonly type: string }>(value: unknown): Message | undefined {
  if (typeof value !== "object" || value === null || !("type" in value)) return undefined;
  return value as Message;
}

import type { Id } from "@squall/core/ids";

/** Who is at the other end of a call, as far as the door knows. Credentials are looked at by the procedure. */
export type Peer =
  /** Anybody who reached the public port: clients with their token in the headers, agents, strangers. */
  | { readonly kind: "public"; readonly remoteAddress: string }
  /** A container, vouched for by the worker that holds it. `blobBaseUrl` is the address at which it reaches `/blobs/`. */
  | { readonly kind: "container"; readonly containerId: Id<"container">; readonly workerId: Id<"worker">; readonly blobBaseUrl: string };

/** The doors set nothing but a `Peer`; the transport's types do not know it. */
export function asPeer(peer: unknown): Peer {
  return peer as Peer;
}

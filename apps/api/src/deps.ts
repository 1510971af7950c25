/** Everything the api's code is given; made once by `main.ts`. Take the least you use: `Pick<Deps, "db" | "clock">`. */
import type { Actor, ServiceContext, ServiceDeps } from "@squall/services/context";
import type { CallEngine } from "@squall/services/function-call/call-engine";
import type { AgentPort, ClusterPort, DispatchPort } from "./agents/ports.ts";
import type { LogRelay } from "./relay/log-relay.ts";

export interface Deps extends ServiceDeps {
  readonly dispatch: DispatchPort;
  /** What the verbs of calls work with; the same object as `dispatch`. */
  readonly calls: CallEngine;
  readonly agents: AgentPort;
  readonly cluster: ClusterPort;
  readonly logs: LogRelay;
  /** Base URL that people and clients use, without a trailing slash. */
  readonly publicUrl: string;
  /** Derives keys for signatures of ours (blob URLs, JWTs) from the master key: 32 bytes, one per `purpose`. */
  readonly signingKey: (purpose: string) => Uint8Array;
}

/** A caller whose credentials hold. */
export interface Caller {
  readonly actor: Actor;
  readonly workspace: ServiceContext["workspace"];
}

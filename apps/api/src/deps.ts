/** Everything the api's code is given; made once by `main.ts`. Take the least you use: `Pick<Deps, "db" | "clock">`. */
import { randomInt } from "node:crypto";
import { join } from "node:path";
import type { Clock } from "@squall/core/clock";
import { Database } from "@squall/db/database";
import { openLocalDirectory } from "@squall/objects/local-directory";
import type { Actor, ServiceContext, ServiceDeps } from "@squall/services/context";
import type { CallEngine } from "@squall/services/function-call/call-engine";
import type { Logger } from "@squall/services/log";
import { KeyRing } from "@squall/services/secret/key-ring";
import type { AgentPort, ClusterPort, DispatchPort } from "./agents/ports.ts";
import type { Config } from "./config.ts";
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

export interface Means {
  readonly config: Pick<Config, "homeDir" | "databaseAppUrl" | "databaseEngineUrl">;
  /** 32 bytes. */
  readonly masterKey: Uint8Array;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Opens the means of every verb: database, objects, keys. The only place of the api that knows what they are made of. */
export async function openServiceDeps({ config, masterKey, clock, log }: Means): Promise<ServiceDeps & { readonly db: Database }> {
  const db = new Database({
    appUrl: config.databaseAppUrl,
    engineUrl: config.databaseEngineUrl,
    onConnectionError: (error) => log.warn({ err: error }, "a database connection was lost"),
  });
  const objects = await openLocalDirectory(join(config.homeDir, "objects"));
  return { db, objects, keys: new KeyRing(masterKey), clock, random: { int: (bound) => randomInt(bound) }, log };
}

import type { UpOptions } from "../arguments.ts";
import type { Instance } from "../instance.ts";
import type { Paths } from "../paths.ts";
import type { SetupResult } from "../setup/setup.ts";
import type { DatabaseProcess } from "./database-process.ts";
import { KeeperProcess } from "./keeper-process.ts";

// Together with PostgreSQL's fast shutdown less than the 10 s that a stop may take.
const agentStopMs = 6000;
const apiStopMs = 1500;

/** Main files of the two services, relative to the repository. Tests put stand-ins here. */
export interface Programs {
  readonly api: string;
  readonly agent: string;
  /** Stands before the agent's `node`: a program that makes a mount namespace of its own and becomes it. */
  readonly agentPrefix: readonly string[];
}

export interface ServiceOptions {
  readonly paths: Paths;
  readonly run: string;
  readonly instance: Instance;
  readonly up: Omit<UpOptions, "json">;
  readonly setup: SetupResult;
  readonly programs: Programs;
}

/** The product's own programs. */
export function productPrograms({ nativePath }: SetupResult): Programs {
  return { api: "apps/api/src/main.ts", agent: "apps/worker-agent/src/main.ts", agentPrefix: [nativePath, "agent-cage", "--"] };
}

/** The api behind the public door. */
export function apiKeeper(options: ServiceOptions, database: Pick<DatabaseProcess, "urls">): KeeperProcess {
  const { paths, run, up, programs } = options;
  return new KeeperProcess({
    name: "api",
    home: paths.home,
    run,
    doors: { public: { host: up.host, port: up.port } },
    env: { ...commonEnv(options), ...database.urls() },
    childEnv: { SQUALL_PUBLIC_URL: urlOf(up.host, "{public.port}") },
    prefix: [],
    main: programs.api,
    stopTimeoutMs: apiStopMs,
  });
}

/** The worker agent, which opens its doors itself, one for each container. */
export function agentKeeper(options: ServiceOptions, serverUrl: string): KeeperProcess {
  const { paths, run, up, setup, programs } = options;
  return new KeeperProcess({
    name: "agent",
    home: paths.home,
    run,
    doors: {},
    env: { ...commonEnv(options), SQUALL_API_URL: serverUrl, SQUALL_NATIVE: setup.nativePath, SQUALL_FAKE_GPUS: up.fakeGpus.join(",") },
    childEnv: {},
    prefix: programs.agentPrefix,
    main: programs.agent,
    stopTimeoutMs: agentStopMs,
  });
}

/** Where a program on this machine reaches the api. */
export function urlOf(host: string, port: number | string): string {
  const reachable = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  return `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}`;
}

function commonEnv({ paths, run, instance }: ServiceOptions): Record<string, string> {
  return {
    SQUALL_HOME: paths.home,
    SQUALL_CACHE: paths.cache,
    SQUALL_RUN: run,
    SQUALL_INSTANCE: instance.name,
    SQUALL_LOG_LEVEL: process.env["SQUALL_LOG_LEVEL"] ?? "info",
  };
}

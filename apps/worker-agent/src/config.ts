/** What the agent is told by its environment: parsed once by `main.ts`. */
import { z } from "zod";

const gpuPattern = /^[A-Z0-9-]{1,32}=[1-9][0-9]{0,2}$/;

const schema = z.object({
  SQUALL_HOME: z.string().startsWith("/").default("/var/lib/squall"),
  SQUALL_CACHE: z.string().startsWith("/").default("/var/cache/squall"),
  SQUALL_RUN: z.string().startsWith("/"),
  SQUALL_INSTANCE: z.string().regex(/^[a-z]{6}$/),
  SQUALL_API_URL: z.url(),
  SQUALL_NATIVE: z.string().startsWith("/"),
  SQUALL_FAKE_GPUS: z.string().default(""),
  SQUALL_LOG_LEVEL: z.string().default("info"),
  SQUALL_RUNTIME: z.enum(["crun", "runc"]).default("crun"),
  SQUALL_BLOB_PORT: z.coerce.number().int().min(1024).max(65535).default(4780),
  SQUALL_NETWORK_POOL: z.coerce.number().int().min(0).max(256).default(16),
});

export interface FakeGpu {
  readonly type: string;
  readonly count: number;
}

export interface Config {
  readonly homeDir: string;
  readonly cacheDir: string;
  readonly runDir: string;
  readonly instance: string;
  /** Base URL of the api, without a trailing slash. */
  readonly apiUrl: string;
  readonly nativePath: string;
  /** GPUs that exist in name only, for tests and demos. */
  readonly fakeGpus: readonly FakeGpu[];
  readonly logLevel: string;
  readonly runtimeName: "crun" | "runc";
  /** TCP port of the blob door on the address that containers see. */
  readonly blobPort: number;
  readonly networkPoolSize: number;
}

/** Throws one error that names every variable that is missing or wrong. */
export function parseConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const parsed = schema.safeParse(environment);
  if (!parsed.success) throw new Error(`configuration of the worker-agent:\n${z.prettifyError(parsed.error)}`);
  const value = parsed.data;
  return {
    homeDir: value.SQUALL_HOME,
    cacheDir: value.SQUALL_CACHE,
    runDir: value.SQUALL_RUN,
    instance: value.SQUALL_INSTANCE,
    apiUrl: value.SQUALL_API_URL.replace(/\/+$/, ""),
    nativePath: value.SQUALL_NATIVE,
    fakeGpus: parseFakeGpus(value.SQUALL_FAKE_GPUS),
    logLevel: value.SQUALL_LOG_LEVEL,
    runtimeName: value.SQUALL_RUNTIME,
    blobPort: value.SQUALL_BLOB_PORT,
    networkPoolSize: value.SQUALL_NETWORK_POOL,
  };
}

/** `A100=2,H100=1`; types are upper-cased and must be distinct. */
export function parseFakeGpus(text: string): FakeGpu[] {
  const gpus: FakeGpu[] = [];
  for (const part of text
    .split(",")
    .map((each) => each.trim().toUpperCase())
    .filter((each) => each !== "")) {
    if (!gpuPattern.test(part)) throw new Error(`SQUALL_FAKE_GPUS: ${JSON.stringify(part)} is not TYPE=COUNT`);
    const [type = "", count = ""] = part.split("=");
    if (gpus.some((gpu) => gpu.type === type)) throw new Error(`SQUALL_FAKE_GPUS names ${type} twice`);
    gpus.push({ type, count: Number(count) });
  }
  return gpus;
}

/** One folder per container, and the agent's own (below). */
export function containersDir({ homeDir }: Pick<Config, "homeDir">): string {
  return `${homeDir}/agent`;
}

/** User files by content. */
export function filesDir(config: Pick<Config, "homeDir">): string {
  return `${containersDir(config)}/files`;
}

/** Usage that the control plane has not stored yet. */
export function usageDir(config: Pick<Config, "homeDir">): string {
  return `${containersDir(config)}/usage`;
}

/** What the api is told by its environment: parsed once by `main.ts`. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const schema = z.object({
  SQUALL_HOME: z.string().startsWith("/").default("/var/lib/squall"),
  SQUALL_CACHE: z.string().startsWith("/").default("/var/cache/squall"),
  SQUALL_RUN: z.string().startsWith("/"),
  SQUALL_INSTANCE: z.string().regex(/^[a-z]{6}$/),
  SQUALL_PUBLIC_URL: z.url(),
  DATABASE_URL_APP: z.string().startsWith("postgres"),
  DATABASE_URL_ENGINE: z.string().startsWith("postgres"),
  SQUALL_LOG_LEVEL: z.enum(["debug", "info", "warn", "error"]).default("info"),
});

const operatorSchema = z.object({ token_id: z.string().startsWith("ak-"), token_secret: z.string().startsWith("as-") });

export interface Config {
  readonly homeDir: string;
  readonly cacheDir: string;
  readonly runDir: string;
  readonly instance: string;
  /** Without a trailing slash. */
  readonly publicUrl: string;
  readonly databaseAppUrl: string;
  readonly databaseEngineUrl: string;
  readonly logLevel: "debug" | "info" | "warn" | "error";
}

/** What only files hold: never in the environment, never logged. */
export interface HomeSecrets {
  /** 32 bytes that everything secret in the database is wrapped with, and that signing keys are derived from. */
  readonly masterKey: Uint8Array;
  readonly operator: { readonly tokenId: string; readonly tokenSecret: string };
  readonly workerToken: string;
}

/** Throws one error that names every variable that is missing or wrong. */
export function parseConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const parsed = schema.safeParse(environment);
  if (!parsed.success) throw new Error(`configuration of the api:\n${z.prettifyError(parsed.error)}`);
  const value = parsed.data;
  return {
    homeDir: value.SQUALL_HOME,
    cacheDir: value.SQUALL_CACHE,
    runDir: value.SQUALL_RUN,
    instance: value.SQUALL_INSTANCE,
    publicUrl: value.SQUALL_PUBLIC_URL.replace(/\/+$/, ""),
    databaseAppUrl: value.DATABASE_URL_APP,
    databaseEngineUrl: value.DATABASE_URL_ENGINE,
    logLevel: value.SQUALL_LOG_LEVEL,
  };
}

/** The files that the launcher made in the home. */
export function readHomeSecrets(homeDir: string): HomeSecrets {
  const masterKey = Buffer.from(readFileSync(join(homeDir, "master.key"), "utf8").trim(), "base64");
  if (masterKey.length !== 32) throw new Error(`${homeDir}/master.key holds ${masterKey.length} bytes, not 32`);
  const operator = operatorSchema.parse(JSON.parse(readFileSync(join(homeDir, "operator.json"), "utf8")));
  const workerToken = readFileSync(join(homeDir, "worker-token"), "utf8").trim();
  return { masterKey, operator: { tokenId: operator.token_id, tokenSecret: operator.token_secret }, workerToken };
}

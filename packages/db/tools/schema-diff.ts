/**
 * Compares a database with `prisma/schema` by Prisma's own schema engine, in its WebAssembly form: the native one is a download that needs a host
 * which a closed network may not have. Prints the SQL that brings the database of DATABASE_URL to the schema (`pnpm diff`): empty when they agree,
 * and the start of the next migration when they do not.
 */
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { PrismaPg } from "@prisma/adapter-pg";
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum, type SqlMigrationAwareDriverAdapterFactory } from "@prisma/driver-adapter-utils";
import * as engine from "@prisma/schema-engine-wasm/schema_engine_bg";
import pg from "pg";

const schemaDir = join(import.meta.dirname, "../prisma/schema");
const characterOid = 18; // the catalog's "char": the adapter has no mapping for it
const characterArrayOid = 1002; // carried as this one, renamed again below

/** The SQL from the database at `url` to the schema files. `_prisma_migrations` is left out. */
export async function schemaDiff(url: string): Promise<string> {
  await loadEngine();
  const files = readdirSync(schemaDir).map((name) => ({ path: join(schemaDir, name), content: readFileSync(join(schemaDir, name), "utf8") }));
  const datamodels: [string, string][] = files.map((file) => [file.path, file.content]);
  const adapter = bindMigrationAwareSqlAdapterFactory(adapterFactory(url));
  const instance = await engine.SchemaEngine.new({ datamodels }, () => undefined, adapter);
  const target = {
    from: { tag: "schemaDatasource", files, configDir: schemaDir } as const,
    to: { tag: "schemaDatamodel", files, configDir: schemaDir } as const,
  };
  const result = await instance.diff({ ...target, script: true, exitCode: null, filters: { externalTables: [], externalEnums: [] } });
  return result.stdout ?? "";
}

async function loadEngine(): Promise<void> {
  const folder = dirname(createRequire(import.meta.url).resolve("@prisma/schema-engine-wasm"));
  const module = new WebAssembly.Module(readFileSync(join(folder, "schema_engine_bg.wasm")));
  const instance = new WebAssembly.Instance(module, { "./schema_engine_bg.js": asImports(engine) });
  asWasmGlue(engine).__wbg_set_wasm(instance.exports);
  const start = instance.exports["__wbindgen_start"];
  if (typeof start === "function") start();
}

function adapterFactory(url: string): SqlMigrationAwareDriverAdapterFactory {
  return {
    provider: "postgres",
    adapterName: "@prisma/adapter-pg",
    connect: async () => readingCharacters(await new PrismaPg(poolReadingCharacters(url), { disposeExternalPool: true }).connect()),
    connectToShadowDb: () => Promise.reject(new Error("a comparison needs no shadow database")),
  };
}

type Adapter = Awaited<ReturnType<PrismaPg["connect"]>>;

function readingCharacters(adapter: Adapter): Adapter {
  const queryRaw = adapter.queryRaw.bind(adapter);
  adapter.queryRaw = async (query) => {
    const result = await queryRaw(query);
    return { ...result, columnTypes: result.columnTypes.map((type) => (type === ColumnTypeEnum.CharacterArray ? ColumnTypeEnum.Character : type)) };
  };
  return adapter;
}

function poolReadingCharacters(url: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  const query = pool.query.bind(pool);
  const patched = async (...args: Parameters<typeof query>) => {
    const result = await query(...args);
    for (const field of asResult(result).fields) if (field.dataTypeID === characterOid) field.dataTypeID = characterArrayOid;
    return result;
  };
  return Object.assign(pool, { query: patched });
}

// The adapter only uses the promise form of `query`, which resolves to a result.
function asResult(value: unknown): pg.QueryResult {
  return value as pg.QueryResult;
}

// wasm-bindgen's glue is a module of plain functions; its types leave out what only the loader calls.
function asWasmGlue(module: object): { __wbg_set_wasm(exports: WebAssembly.Exports): void } {
  return module as { __wbg_set_wasm(exports: WebAssembly.Exports): void };
}

function asImports(module: object): WebAssembly.ModuleImports {
  return module as WebAssembly.ModuleImports;
}

if (import.meta.main) process.stdout.write(await schemaDiff(process.env["DATABASE_URL"] ?? ""));

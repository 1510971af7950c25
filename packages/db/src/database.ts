/** The two ways into the database: by workspace, behind row-level security, for the verbs of nouns; and as the engine, for the hot tables. */
import { PrismaPg } from "@prisma/adapter-pg";
import type { Id } from "@squall/core/ids";
import pg from "pg";
import { type Prisma, PrismaClient } from "../generated/prisma/client.ts";
import { engineTypes } from "./engine-types.ts";
import { explainError } from "./errors.ts";

/** What a verb works with inside `transaction`. */
export type Transaction = Prisma.TransactionClient;

export interface DatabaseOptions {
  /** Connection string for the role `squall_app`. */
  readonly appUrl: string;
  /** Connection string for the role `squall_engine`. */
  readonly engineUrl: string;
  /** Called with the text of every statement of a transaction; for tests that count. */
  readonly onQuery?: (sql: string) => void;
  /** An idle connection was lost; the pools open new ones by themselves. */
  readonly onConnectionError?: (error: Error) => void;
}

export class Database {
  /** Raw SQL as `squall_engine`: sees all workspaces. `bigint` columns arrive as numbers. */
  readonly engine: pg.Pool;
  readonly #engineUrl: string;
  readonly #appPool: pg.Pool;
  readonly #prisma: PrismaClient;

  constructor(options: DatabaseOptions) {
    const onError = options.onConnectionError ?? (() => undefined);
    this.#engineUrl = options.engineUrl;
    this.#appPool = new pg.Pool({ connectionString: options.appUrl, max: 16 }).on("error", onError);
    this.engine = new pg.Pool({ connectionString: options.engineUrl, max: 12, types: engineTypes }).on("error", onError);
    this.#prisma = newPrisma(this.#appPool, options.onQuery);
  }

  /**
   * Runs `work` in one transaction that sees and writes rows of this workspace only. Rolled back when `work` throws, and after 30 s. Everything that
   * `work` awaits must be of the database: it holds a connection.
   */
  async transaction<Result>(workspaceId: Id<"workspace">, work: (tx: Transaction) => Promise<Result>): Promise<Result> {
    try {
      return await this.#prisma.$transaction(
        async (tx) => {
          await tx.$executeRaw`SELECT set_config('squall.workspace', ${workspaceId}, true)`;
          return work(tx);
        },
        { maxWait: 30_000, timeout: 30_000 },
      );
    } catch (error) {
      throw explainError(error);
    }
  }

  /** A connection of its own as `squall_engine`, connected; the caller ends it. */
  async connectEngine(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.#engineUrl, types: engineTypes });
    await client.connect();
    return client;
  }

  async close(): Promise<void> {
    await this.#prisma.$disconnect();
    await Promise.all([this.#appPool.end(), this.engine.end()]);
  }
}

function newPrisma(pool: pg.Pool, onQuery: DatabaseOptions["onQuery"]): PrismaClient {
  const adapter = new PrismaPg(pool);
  if (!onQuery) return new PrismaClient({ adapter });
  const client = new PrismaClient({ adapter, log: [{ emit: "event", level: "query" }] });
  client.$on("query", (event) => onQuery(event.query));
  return client;
}

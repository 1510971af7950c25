import { setTimeout as delay } from "node:timers/promises";
import { ServiceError } from "@squall/core/errors";
import { isConnectionTrouble } from "./connection-trouble.ts";
import { maxHoldMs } from "./journal.ts";
import type { Row, Sql, SqlQuery } from "./sql.ts";

const retryDelayMs = 100;

/**
 * Reads that are held while the database is away instead of failing, for at most 30 s: clients give up after a second of errors, but wait for an
 * answer. Give it statements that may be repeated.
 */
export class PatientSql implements Sql {
  readonly #sql: Sql;
  readonly #holdMs: number;

  constructor(sql: Sql, { holdMs = maxHoldMs }: { readonly holdMs?: number } = {}) {
    this.#sql = sql;
    this.#holdMs = holdMs;
  }

  async query(query: SqlQuery): Promise<{ readonly rows: readonly Row[] }> {
    const startedMs = performance.now();
    for (;;) {
      try {
        return await this.#sql.query(query);
      } catch (error) {
        if (!isConnectionTrouble(error)) throw error;
        if (performance.now() - startedMs > this.#holdMs) throw new ServiceError("unavailable", "The database is away.", { cause: error, retryAfterMs: 1000 });
        await delay(retryDelayMs);
      }
    }
  }
}

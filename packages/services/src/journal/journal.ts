/**
 * Group commit: one statement in flight on a connection of its own, what comes meanwhile is the next batch. `append` resolves when the database
 * has the entry. Order of appends is order of commits. While the database is away nothing fails here: the batch is sent again with the same ids
 * until it is in; callers bound their own patience (`holdAtMost`).
 */
import { ServiceError } from "@squall/core/errors";
import type { Logger } from "../log.ts";
import { type Batch, type CallRow, type InputRow, type JournalEntry, mergeEntries } from "./batch.ts";
import { isConnectionTrouble } from "./connection-trouble.ts";
import { numberOf, optionalBytesOf, type Row, type SqlConnection, textOf } from "./sql.ts";
import { statementFor } from "./statement.ts";

/** What stood there already: the id under which the row is known, by the id that was appended. */
export interface JournalResult {
  readonly existingCalls: ReadonlyMap<string, { readonly id: string; readonly requestHash: Uint8Array | undefined }>;
  readonly existingInputs: ReadonlyMap<string, string>;
}

interface Waiting {
  readonly entry: JournalEntry;
  readonly sizeRows: number;
  resolve(result: JournalResult): void;
  reject(error: unknown): void;
}

export interface JournalOptions {
  readonly connect: () => Promise<SqlConnection>;
  readonly log: Logger;
  readonly reconnectDelayMs?: number;
}

const maxBatchRows = 5_000;
const maxGatheringRows = 50_000; // ten batches
const nothingExisted: JournalResult = { existingCalls: new Map(), existingInputs: new Map() };

export class Journal {
  readonly #options: JournalOptions;
  #connection: SqlConnection | undefined;
  #gathering: Waiting[] = [];
  #gatheringRows = 0;
  #isFlushing = false;
  #isClosed = false;
  /** Statements sent, for tests of growth. */
  statements = 0;

  constructor(options: JournalOptions) {
    this.#options = options;
  }

  /** Whether so much waits for the database that new work must be refused; what was accepted is always taken. */
  get isFull(): boolean {
    return this.#gatheringRows > maxGatheringRows;
  }

  append(entry: JournalEntry): Promise<JournalResult> {
    if (this.#isClosed) return Promise.reject(new ServiceError("unavailable", "The server is going down.", { retryAfterMs: 1000 }));
    const sizeRows = Object.values(entry).reduce((sum: number, rows: readonly unknown[]) => sum + rows.length, 0);
    return new Promise((resolve, reject) => {
      this.#gathering.push({ entry, sizeRows, resolve, reject });
      this.#gatheringRows += sizeRows;
      if (!this.#isFlushing) {
        this.#isFlushing = true;
        // A turn of the loop later, so that what one read of a socket brought becomes one batch.
        setImmediate(() => void this.#flush());
      }
    });
  }

  /** Resolves when everything appended before is committed. */
  async barrier(): Promise<void> {
    if (this.#isFlushing) await this.append({});
  }

  /** Writes what was appended and closes the connection. */
  async close(): Promise<void> {
    await this.barrier();
    this.#isClosed = true;
    await this.#connection?.end();
    this.#connection = undefined;
  }

  async #flush(): Promise<void> {
    while (this.#gathering.length > 0) {
      const batch = takeBatch(this.#gathering);
      for (const { sizeRows } of batch) this.#gatheringRows -= sizeRows;
      await this.#commit(batch);
    }
    this.#isFlushing = false;
  }

  async #commit(batch: readonly Waiting[]): Promise<void> {
    try {
      const result = await this.#write(mergeEntries(batch.map((waiting) => waiting.entry)));
      for (const waiting of batch) waiting.resolve(result);
    } catch (error) {
      // The statement itself is refused: one entry spoils it, the others must not suffer.
      if (batch.length === 1) {
        this.#options.log.error({ err: error }, "journal entry refused by the database");
        batch[0]?.reject(error);
        return;
      }
      const middle = batch.length >> 1;
      await this.#commit(batch.slice(0, middle));
      await this.#commit(batch.slice(middle));
    }
  }

  async #write(batch: Batch): Promise<JournalResult> {
    if (Object.values(batch).every((rows) => rows.length === 0)) return nothingExisted;
    const statement = statementFor(batch);
    for (;;) {
      try {
        this.#connection ??= await this.#options.connect();
        this.statements++;
        const { rows } = await this.#connection.query(statement);
        return await this.#findExisting(batch, rows[0] ?? {});
      } catch (error) {
        if (!isConnectionTrouble(error)) throw error;
        await this.#reconnect(error);
      }
    }
  }

  async #reconnect(error: unknown): Promise<void> {
    this.#options.log.warn({ err: error }, "journal lost its database connection, sending the batch again");
    const broken = this.#connection;
    this.#connection = undefined;
    await broken?.end().catch(() => {}); // it is gone, that is why we are here
    await new Promise((resolve) => setTimeout(resolve, this.#options.reconnectDelayMs ?? 100));
  }

  /** Only when something was not inserted: by an earlier try of ours, or because a caller repeated itself. */
  async #findExisting(batch: Batch, counts: Row): Promise<JournalResult> {
    const hasOldCalls = batch.calls.length > 0 && numberOf(counts, "new_calls") < batch.calls.length;
    const hasOldInputs = batch.inputs.length > 0 && numberOf(counts, "new_inputs") < batch.inputs.length;
    return {
      existingCalls: hasOldCalls ? await this.#existingCalls(batch.calls) : nothingExisted.existingCalls,
      existingInputs: hasOldInputs ? await this.#existingInputs(batch.inputs) : nothingExisted.existingInputs,
    };
  }

  async #existingCalls(calls: readonly CallRow[]): Promise<JournalResult["existingCalls"]> {
    const existing = new Map<string, { id: string; requestHash: Uint8Array | undefined }>();
    const keyed = calls.filter((call) => call.idempotencyKey !== undefined);
    const { rows } = await this.#query(
      `SELECT mine.id AS mine, c.id, c.request_hash FROM unnest($1::text[], $2::text[], $3::text[]) AS mine(id, workspace_id, key)
       JOIN function_call c ON c.workspace_id = mine.workspace_id AND c.idempotency_key = mine.key WHERE c.id <> mine.id`,
      [keyed.map((call) => call.id), keyed.map((call) => call.workspaceId), keyed.map((call) => call.idempotencyKey)],
    );
    for (const row of rows) existing.set(textOf(row, "mine"), { id: textOf(row, "id"), requestHash: optionalBytesOf(row, "request_hash") });
    return existing;
  }

  async #existingInputs(inputs: readonly InputRow[]): Promise<JournalResult["existingInputs"]> {
    const { rows } = await this.#query(
      `SELECT mine.id AS mine, i.id FROM unnest($1::text[], $2::text[], $3::int[]) AS mine(id, call_id, idx)
       JOIN input i ON i.function_call_id = mine.call_id AND i.idx = mine.idx WHERE i.id <> mine.id`,
      [inputs.map((input) => input.id), inputs.map((input) => input.callId), inputs.map((input) => input.idx)],
    );
    return new Map(rows.map((row) => [textOf(row, "mine"), textOf(row, "id")]));
  }

  async #query(text: string, values: unknown[]): Promise<{ readonly rows: readonly Row[] }> {
    if (this.#connection === undefined) throw new Error("journal has no connection");
    this.statements++;
    return this.#connection.query({ text, values });
  }
}

/**
 * Waits for a journal promise no longer than `maxMs`; then UNAVAILABLE, which clients repeat with the same idempotency key. The entry itself
 * stays on its way.
 */
export async function holdAtMost<T>(promise: Promise<T>, maxMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new ServiceError("unavailable", "The database is away. Nothing is lost; the request may be repeated.", { retryAfterMs: 1000 })),
      maxMs,
    );
  });
  try {
    return await Promise.race([promise, tooLong]);
  } finally {
    clearTimeout(timer);
  }
}

/** Longest a caller waits while PostgreSQL is away. */
export const maxHoldMs = 30_000;

function takeBatch(gathering: Waiting[]): Waiting[] {
  let rows = 0;
  let count = 0;
  while (count < gathering.length && rows < maxBatchRows) rows += gathering[count++]?.sizeRows ?? 0;
  return gathering.splice(0, count);
}

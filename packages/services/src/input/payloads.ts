/** Payloads of waiting inputs: the first in line in memory, within a byte bound, the rest where they are stored. */
import { asId, type Id } from "@squall/core/ids";
import type { ObjectStore } from "@squall/objects/object-store";
import { readBytes } from "../function-call/internal.ts";
import { optionalBytesOf, optionalTextOf, type Sql, textOf } from "../journal/sql.ts";

const defaultMaxBytes = 64 << 20;

export class Payloads {
  readonly #kept = new Map<string, Uint8Array>();
  readonly #sql: Sql;
  readonly #objects: ObjectStore;
  readonly #maxBytes: number;
  #bytes = 0;

  constructor({ sql, objects, maxBytes = defaultMaxBytes }: { readonly sql: Sql; readonly objects: ObjectStore; readonly maxBytes?: number }) {
    this.#sql = sql;
    this.#objects = objects;
    this.#maxBytes = maxBytes;
  }

  /** Kept only while there is room: who comes first is also given out first. */
  keep(inputId: Id<"input">, payload: Uint8Array): void {
    if (this.#bytes + payload.length > this.#maxBytes || this.#kept.has(inputId)) return;
    this.#kept.set(inputId, payload);
    this.#bytes += payload.length;
  }

  /** Payloads in the order of the ids when all are in memory; they are handed out once and dropped. */
  takeKept(inputIds: readonly Id<"input">[]): Uint8Array[] | undefined {
    const payloads: Uint8Array[] = [];
    for (const inputId of inputIds) {
      const payload = this.#kept.get(inputId);
      if (payload === undefined) return undefined;
      payloads.push(payload);
    }
    for (const inputId of inputIds) this.drop(inputId);
    return payloads;
  }

  /** As `takeKept`, reading what is not in memory with one query. */
  async take(inputIds: readonly Id<"input">[]): Promise<Uint8Array[]> {
    const missing = inputIds.filter((inputId) => !this.#kept.has(inputId));
    const read = missing.length > 0 ? await this.#read(missing) : new Map<Id<"input">, Uint8Array>();
    return inputIds.map((inputId) => {
      const payload = this.#kept.get(inputId) ?? read.get(inputId);
      this.drop(inputId);
      if (payload === undefined) throw new Error(`no payload of input ${inputId}`);
      return payload;
    });
  }

  drop(inputId: Id<"input">): void {
    const payload = this.#kept.get(inputId);
    if (payload === undefined) return;
    this.#kept.delete(inputId);
    this.#bytes -= payload.length;
  }

  async #read(inputIds: readonly Id<"input">[]): Promise<Map<Id<"input">, Uint8Array>> {
    const { rows } = await this.#sql.query({
      name: "payloads",
      text: "SELECT id, payload, payload_object FROM input WHERE id = ANY($1::text[])",
      values: [inputIds],
    });
    const entries = await Promise.all(
      rows.map(async (row): Promise<[Id<"input">, Uint8Array]> => {
        const bytes = await readBytes(this.#objects, optionalBytesOf(row, "payload"), optionalTextOf(row, "payload_object"));
        return [asId("input", textOf(row, "id")), bytes];
      }),
    );
    return new Map(entries);
  }
}

/** The little of a database connection that the hot path uses, and readers for its untyped rows. */

export interface SqlQuery {
  /** Prepared once per connection under this name; leave out for statements that are rare. */
  readonly name?: string;
  readonly text: string;
  readonly values: unknown[];
}

export interface Sql {
  query(query: SqlQuery): Promise<{ readonly rows: readonly Row[] }>;
}

/** A connection of its own, for the journal. */
export interface SqlConnection extends Sql {
  end(): Promise<void>;
}

export type Row = Readonly<Record<string, unknown>>;

export function textOf(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw new TypeError(`column ${column} is not text`);
  return value;
}

export function optionalTextOf(row: Row, column: string): string | undefined {
  return row[column] === null || row[column] === undefined ? undefined : textOf(row, column);
}

/** Also for `bigint` columns, which the driver hands over as text: values here (milliseconds, bytes, counters) fit a double. */
export function numberOf(row: Row, column: string): number {
  const value = row[column];
  const number = typeof value === "string" ? Number(value) : value;
  if (typeof number !== "number" || Number.isNaN(number)) throw new TypeError(`column ${column} is not a number`);
  return number;
}

export function optionalNumberOf(row: Row, column: string): number | undefined {
  return row[column] === null || row[column] === undefined ? undefined : numberOf(row, column);
}

export function booleanOf(row: Row, column: string): boolean {
  const value = row[column];
  if (typeof value !== "boolean") throw new TypeError(`column ${column} is not a boolean`);
  return value;
}

export function optionalBytesOf(row: Row, column: string): Uint8Array | undefined {
  const value = row[column];
  if (value === null || value === undefined) return undefined;
  if (!(value instanceof Uint8Array)) throw new TypeError(`column ${column} is not bytes`);
  return value;
}

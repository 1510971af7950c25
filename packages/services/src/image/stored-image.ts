import { asId, type Id } from "@squall/core/ids";
import type { Transaction } from "@squall/db/database";

export interface StoredImage {
  readonly id: Id<"image">;
  /** What the agent's image store resolves to a root file system. */
  readonly imageKey: string;
  readonly pythonVersion: string;
  readonly builderVersion: string;
}

/** A row as a domain value. */
export function fromRow(row: Awaited<ReturnType<Transaction["image"]["findFirstOrThrow"]>>): StoredImage {
  return { id: asId("image", row.id), imageKey: row.imageKey, pythonVersion: row.pythonVersion, builderVersion: row.builderVersion };
}

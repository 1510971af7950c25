import { createHash } from "node:crypto";

/** What the database keeps of a token: tokens are 256 random bits, so a plain hash cannot be guessed back. */
export function hashToken(secret: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash("sha256").update(secret, "utf8").digest());
}

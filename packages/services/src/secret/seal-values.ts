/** Values of a secret on their way to the database and back: JSON, encrypted under a data key of their own, which the master key wraps. */
import { randomBytes } from "node:crypto";
import { type KeyRing, open, seal } from "./key-ring.ts";

/** Which version of which secret: a sealed version copied to another row does not open. */
export interface SealedPlace {
  readonly workspaceId: string;
  readonly secretId: string;
  readonly version: number;
}

export interface SealedValues {
  readonly ciphertext: Uint8Array<ArrayBuffer>;
  readonly nonce: Uint8Array<ArrayBuffer>;
  readonly wrappedKey: Uint8Array<ArrayBuffer>;
}

export type SecretValues = Readonly<Record<string, string>>;

export function sealValues(keys: KeyRing, place: SealedPlace, values: SecretValues): SealedValues {
  const dataKey = randomBytes(32);
  const nonce = new Uint8Array(randomBytes(12));
  const context = contextOf(place);
  return { ciphertext: seal(dataKey, { nonce, context, plain: Buffer.from(JSON.stringify(values)) }), nonce, wrappedKey: keys.wrap(dataKey, context) };
}

/** Throws when the row was changed, moved, or sealed under another master key. */
export function openValues(keys: KeyRing, place: SealedPlace, { ciphertext, nonce, wrappedKey }: SealedValues): SecretValues {
  const context = contextOf(place);
  const dataKey = keys.unwrap(wrappedKey, context);
  return parseStored(JSON.parse(Buffer.from(open(dataKey, { nonce, context, sealed: ciphertext })).toString()));
}

function parseStored(stored: unknown): SecretValues {
  if (typeof stored !== "object" || stored === null) throw new Error("the values of a secret are no object");
  const entries = Object.entries(stored).map(([key, value]): [string, string] => {
    if (typeof value !== "string") throw new Error(`the value of key ${key} is no text`);
    return [key, value];
  });
  return Object.fromEntries(entries);
}

function contextOf({ workspaceId, secretId, version }: SealedPlace): string {
  return `${workspaceId}|${secretId}|${version}`;
}

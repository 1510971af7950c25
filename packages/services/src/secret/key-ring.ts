/** The master key and what it is used for: wrapping the data keys of secrets. */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const formatOne = 1; // first byte of what `wrap` returns: which format, and later which master key

export class KeyRing {
  readonly #wrappingKey: Uint8Array;
  readonly #fingerprintKey: Uint8Array;

  /** `masterKey`: 32 random bytes. Each use derives a key of its own from it. */
  constructor(masterKey: Uint8Array) {
    if (masterKey.length !== keyBytes) throw new Error(`the master key must have ${keyBytes} bytes, it has ${masterKey.length}`);
    this.#wrappingKey = derive(masterKey, "squall secret wrapping");
    this.#fingerprintKey = derive(masterKey, "squall fingerprints");
  }

  /** `dataKey` encrypted for the place that `context` names; it opens nowhere else. */
  wrap(dataKey: Uint8Array, context: string): Uint8Array<ArrayBuffer> {
    const nonce = randomBytes(nonceBytes);
    const sealed = seal(this.#wrappingKey, { nonce, context, plain: dataKey });
    return new Uint8Array(Buffer.concat([Uint8Array.of(formatOne), nonce, sealed]));
  }

  /** Throws when it was wrapped under another master key, for another context, or was changed. */
  unwrap(wrapped: Uint8Array, context: string): Uint8Array {
    if (wrapped[0] !== formatOne) throw new Error(`unknown format ${wrapped[0]} of a wrapped key`);
    return open(this.#wrappingKey, { nonce: wrapped.subarray(1, 1 + nonceBytes), context, sealed: wrapped.subarray(1 + nonceBytes) });
  }

  /** Tells equal texts from different ones without giving away either: for comparing requests that hold secrets. */
  fingerprint(text: string): string {
    return createHmac("sha256", this.#fingerprintKey).update(text).digest("base64url");
  }
}

/** AES-256-GCM; the answer is the ciphertext with its tag. `context` is authenticated, not stored. */
export function seal(key: Uint8Array, { nonce, context, plain }: { nonce: Uint8Array; context: string; plain: Uint8Array }): Uint8Array<ArrayBuffer> {
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(context));
  return new Uint8Array(Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]));
}

/** The reverse of `seal`; throws when anything does not fit. */
export function open(key: Uint8Array, { nonce, context, sealed }: { nonce: Uint8Array; context: string; sealed: Uint8Array }): Uint8Array {
  const decipher = createDecipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(context)).setAuthTag(sealed.subarray(-tagBytes));
  return Buffer.concat([decipher.update(sealed.subarray(0, -tagBytes)), decipher.final()]);
}

function derive(masterKey: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", masterKey, "", purpose, keyBytes));
}

/** JSON web tokens that we issue and clients read but cannot check: HS256 under a key derived from the master key. */
import { createHmac } from "node:crypto";

/** `payload` signed; times in it are seconds since 1970, as the format has them. */
export function signWebToken(key: Uint8Array, payload: Readonly<Record<string, string | number>>): string {
  const body = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(payload)}`;
  return `${body}.${createHmac("sha256", key).update(body).digest("base64url")}`;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

/**
 * Ids: `<prefix>-<22 base62>`; the first 9 characters hold 48 bits of milliseconds, the other 13 are random. Fixed width, digits < upper < lower
 * case, so byte order (`COLLATE "C"`) is order of creation and keyset lists need no other column. Prefixes are those of the wire protocol.
 */
import type { Clock } from "./clock.ts";
import type { Random } from "./random.ts";

export const idPrefixes = {
  app: "ap",
  attempt: "at",
  auditEvent: "ae",
  blob: "bl",
  class: "cs",
  container: "ta",
  definition: "de",
  environment: "en",
  function: "fu",
  functionCall: "fc",
  image: "im",
  input: "in",
  membership: "mb",
  mount: "mo",
  request: "rq",
  secret: "st",
  token: "tk",
  user: "us",
  worker: "wo",
  workspace: "ac",
} as const;

export type IdKind = keyof typeof idPrefixes;

declare const brand: unique symbol;
/** An id of one kind of object; a plain string at run time. */
export type Id<Kind extends IdKind> = string & { readonly [brand]: Kind };

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const timeDigits = 9; // 62^9 > 2^48
const randomDigits = 13; // log2(62^13) = 77 bits
const shape = /^([a-z]{2})-[0-9A-Za-z]{22}$/;

/** A new id; ids made later (by `clock`) sort after earlier ones. */
export function newId<Kind extends IdKind>(kind: Kind, source: { clock: Clock; random: Random }): Id<Kind> {
  let time = "";
  let rest = source.clock.now();
  for (let i = 0; i < timeDigits; i++) {
    time = alphabet[rest % 62] + time;
    rest = Math.floor(rest / 62);
  }
  let tail = "";
  for (let i = 0; i < randomDigits; i++) tail += alphabet[source.random.int(62)];
  return asId(kind, `${idPrefixes[kind]}-${time}${tail}`);
}

/** Whether `text` has the shape of an id of this kind. Use at every edge before a look-up. */
export function isId<Kind extends IdKind>(kind: Kind, text: string): text is Id<Kind> {
  return shape.exec(text)?.[1] === idPrefixes[kind];
}

/** `text` as an id of this kind; throws when it has another shape (a bug: edges ask `isId` first). */
export function asId<Kind extends IdKind>(kind: Kind, text: string): Id<Kind> {
  if (!isId(kind, text)) throw new TypeError(`not an id of a ${kind}: ${JSON.stringify(text)}`);
  return text;
}

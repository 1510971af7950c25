/**
 * Keys are `/`-separated names of lower and upper case letters, digits, `_`, `-` and `.`; no name is empty or starts with a dot, so a key is always a
 * path below the root. Upper case is there for ids.
 */
export const maxKeyLength = 512;

const name = /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,254}$/; // 255 bytes: the longest file name of Linux

export class ObjectKeyError extends Error {
  constructor(key: string) {
    super(`not a key of an object: ${JSON.stringify(key.slice(0, 80))}`);
    this.name = "ObjectKeyError";
  }
}

/** Whether `key` may name an object. */
export function isObjectKey(key: string): boolean {
  return key.length <= maxKeyLength && key.split("/").every((part) => name.test(part));
}

/** Throws `ObjectKeyError` unless `isObjectKey`. */
export function checkObjectKey(key: string): void {
  if (!isObjectKey(key)) throw new ObjectKeyError(key);
}

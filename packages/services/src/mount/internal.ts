/** Whether `text` is a sha256 in lower-case hexadecimal. */
export function isSha256(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/** Where the bytes of a mounted file lie in the object store. Agents ask for them by the same key. */
export function mountFileKey(workspaceId: string, sha256: string): string {
  return `mount/${workspaceId}/${sha256}`;
}

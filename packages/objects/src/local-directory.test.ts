import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openLocalDirectory } from "./local-directory.ts";
import { ObjectKeyError } from "./object-key.ts";
import { ObjectNotFoundError } from "./object-store.ts";

const root = mkdtempSync(join(tmpdir(), "squall-objects-"));
const store = await openLocalDirectory(root);
afterAll(() => rmSync(root, { recursive: true }));

async function collect(source: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const bytes = (text: string) => Buffer.from(text);

test("what was put is read back, whole and in ranges", async () => {
  expect(await store.put("blob/bl-1/x.bin", bytes("0123456789"))).toEqual({ sizeBytes: 10 });
  expect(Buffer.from(await store.read("blob/bl-1/x.bin")).toString()).toBe("0123456789");
  expect(await collect(store.get("blob/bl-1/x.bin"))).toBe("0123456789");
  expect(await collect(store.get("blob/bl-1/x.bin", { start: 2, end: 5 }))).toBe("234");
  expect(await collect(store.get("blob/bl-1/x.bin", { start: 8 }))).toBe("89");
  expect(await collect(store.get("blob/bl-1/x.bin", { start: 20 }))).toBe("");
  expect(await collect(store.get("blob/bl-1/x.bin", { start: 3, end: 3 }))).toBe("");
  expect(await store.stat("blob/bl-1/x.bin")).toEqual({ sizeBytes: 10 });
});

test("a second put replaces the first, an empty object is an object", async () => {
  await store.put("a", bytes("long text"));
  await store.put("a", new Uint8Array());
  expect(await store.stat("a")).toEqual({ sizeBytes: 0 });
});

test("a source that fails leaves the old object and no part behind", async () => {
  await store.put("kept", bytes("old"));
  async function* failing() {
    yield bytes("new, but");
    throw new Error("the sender went away");
  }
  await expect(store.put("kept", failing())).rejects.toThrow("the sender went away");
  expect(Buffer.from(await store.read("kept")).toString()).toBe("old");
  expect(readdirSync(join(root, ".parts"))).toEqual([]);
});

test("what is not there is named as such", async () => {
  expect(await store.stat("none/at/all")).toBeUndefined();
  await expect(store.read("none")).rejects.toBeInstanceOf(ObjectNotFoundError);
  await expect(collect(store.get("none"))).rejects.toBeInstanceOf(ObjectNotFoundError);
  await store.delete("none/at/all");
  await store.put("gone", bytes("x"));
  await store.delete("gone");
  expect(await store.stat("gone")).toBeUndefined();
});

test.each(["", "/etc/passwd", "../outside", "a/../../b", "a//b", "a/", ".parts/x", "a/.hidden", "a b", "a\0b", "ä", "x".repeat(300), "a/".repeat(300)])(
  "the key %j is refused everywhere",
  async (key) => {
    await expect(store.put(key, bytes("x"))).rejects.toBeInstanceOf(ObjectKeyError);
    await expect(store.read(key)).rejects.toBeInstanceOf(ObjectKeyError);
    await expect(store.stat(key)).rejects.toBeInstanceOf(ObjectKeyError);
    await expect(store.delete(key)).rejects.toBeInstanceOf(ObjectKeyError);
    expect(() => store.get(key)).toThrow(ObjectKeyError);
  },
);

test("two puts of one key at once leave one of them, whole", async () => {
  await Promise.all(["a", "b"].map((letter) => store.put("raced", bytes(letter.repeat(100_000)))));
  const text = Buffer.from(await store.read("raced")).toString();
  expect([text === "a".repeat(100_000), text === "b".repeat(100_000)]).toContain(true);
});

test("parts of an earlier process are removed when the folder is opened", async () => {
  writeFileSync(join(root, ".parts/left"), "half");
  await openLocalDirectory(root);
  expect(readdirSync(join(root, ".parts"))).toEqual([]);
});

import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { checkedPath, makeParents } from "./files.ts";

const folder = mkdtempSync(join(tmpdir(), "squall-files-"));
afterAll(() => rmSync(folder, { recursive: true }));
const lower = join(folder, "lower");
const upperPath = join(folder, "upper");

beforeEach(() => {
  for (const path of [lower, upperPath]) rmSync(path, { recursive: true, force: true });
  mkdirSync(join(lower, "usr/lib"), { recursive: true });
  mkdirSync(upperPath);
});

describe("folders of mounted files", () => {
  test("follow the image's links instead of hiding them", async () => {
    symlinkSync("usr/lib", join(lower, "lib"));
    symlinkSync("/usr", join(lower, "usr/lib/back"));
    expect(await makeParents("/lib/python", { upperPath, lowers: [lower] })).toBe("/usr/lib/python");
    expect(await makeParents("/lib/back/share", { upperPath, lowers: [lower] })).toBe("/usr/share");
    expect(readdirSync(upperPath)).toEqual(["usr"]);
  });

  test("a link out of the image stays inside, and a ring of links is refused", async () => {
    symlinkSync("../../../../etc", join(lower, "out"));
    symlinkSync("ring", join(lower, "ring"));
    expect(await makeParents("/out/x", { upperPath, lowers: [lower] })).toBe("/etc/x");
    await expect(makeParents("/ring/x", { upperPath, lowers: [lower] })).rejects.toThrow("too many symbolic links");
  });

  test("keep the mode that the image gives them", async () => {
    mkdirSync(join(lower, "tmp"), { mode: 0o700 });
    await makeParents("/tmp/x", { upperPath, lowers: [lower] });
    expect(statSync(join(upperPath, "tmp")).mode & 0o7777).toBe(0o700);
    expect(statSync(join(upperPath, "tmp/x")).mode & 0o7777).toBe(0o755);
  });
});

test("a path that could mean another place is refused", () => {
  for (const path of ["root/x", "/root/../etc/x", "/root//x", "/root/x/", "/root/\0", "/root/./x", ""])
    expect(() => checkedPath(path), path).toThrow("bad path");
  expect(checkedPath("/root/app.py")).toBe("/root/app.py");
});

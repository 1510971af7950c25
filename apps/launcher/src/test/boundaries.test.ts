import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { repository } from "../paths.ts";
import { boundaryFaults } from "./boundaries.ts";

const trees: string[] = [];
afterAll(() => {
  for (const tree of trees) rmSync(tree, { recursive: true, force: true });
});

/** A small workspace with these sources; each package may import `db` and `core` by name. */
function plant(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), "squall-planted-"));
  trees.push(root);
  for (const name of ["package.json", "pnpm-workspace.yaml", "turbo.json"]) cpSync(join(repository, name), join(root, name));
  const all = { "packages/db/src/database.ts": "export const database = 1;\n", "packages/core/src/ids.ts": "export const ids = 1;\n", ...files };
  for (const [path, text] of Object.entries(all)) write(root, path, text);
  for (const name of new Set(Object.keys(all).map((path) => path.split("/").slice(0, 2).join("/")))) writePackage(root, name);
  return root;
}

function writePackage(root: string, folder: string): void {
  const name = folder.split("/")[1] ?? "";
  const dependencies = { "@squall/db": "workspace:*", "@squall/core": "workspace:*" };
  write(
    root,
    join(folder, "package.json"),
    JSON.stringify({ name: `@squall/${name}`, version: "0.1.0", type: "module", exports: { "./*": "./src/*.ts" }, dependencies }),
  );
  write(root, join(folder, "turbo.json"), JSON.stringify({ extends: ["//"], tags: [name] }));
  mkdirSync(join(root, folder, "node_modules/@squall"), { recursive: true });
  for (const dependency of ["db", "core"]) symlinkSync(join(root, "packages", dependency), join(root, folder, "node_modules/@squall", dependency));
}

function write(root: string, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

test("imports that the table allows pass", () => {
  expect(
    boundaryFaults(plant({ "packages/services/src/create.ts": 'import { database } from "@squall/db/database";\nexport const used = database;\n' })),
  ).toEqual([]);
});

test.each([
  ["a package that it must not know", "packages/grpc/src/bad.ts", 'import { ids } from "@squall/core/ids";\nexport const used = ids;\n', "grpc imports"],
  [
    "a type of a package that it must not know",
    "packages/runtime/src/bad.ts",
    'import type { database } from "@squall/db/database";\nexport type Used = typeof database;\n',
    "runtime imports",
  ],
  [
    "a neighbour by its path",
    "packages/core/src/bad.ts",
    'import { database } from "../../db/src/database.ts";\nexport const used = database;\n',
    "core imports",
  ],
  [
    "a node: module in a pure package",
    "packages/scheduler/src/bad.ts",
    'import fs from "node:fs";\nexport const used = fs;\n',
    "pure packages import no node: module",
  ],
  ["a clock in a pure package", "packages/dispatch/src/bad.ts", "export const used = Date.now();\n", "ambient clock"],
  [
    "the database in a door of the api",
    "apps/api/src/grpc/bad.ts",
    'import { database } from "@squall/db/database";\nexport const used = database;\n',
    "only deps.ts of the api",
  ],
  ["a file that is not there", "packages/core/src/bad.ts", 'import { gone } from "./gone.ts";\nexport const used = gone;\n', "does not resolve"],
])("importing %s is found", (_what, path, text, fault) => {
  expect(boundaryFaults(plant({ [path]: text })).join("\n")).toContain(fault);
});

test("turbo boundaries finds a package that depends on one it must not know", () => {
  const root = plant({ "packages/grpc/src/bad.ts": 'import { database } from "@squall/db/database";\nexport const used = database;\n' });
  const { stdout, stderr, status } = spawnSync(join(repository, "node_modules/.bin/turbo"), ["boundaries", "--cwd", root], {
    encoding: "utf8",
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: "1" },
  });
  expect(`${stdout}${stderr}`).toMatch(/@squall\/db` found without any tag listed in allowlist for\s*\S*\s*`@squall\/grpc`/);
  expect(status).not.toBe(0);
});

test("turbo.json states the closure of the import table, and every package carries its tag", async () => {
  const { importTable }: { importTable: Readonly<Record<string, readonly string[]>> } = await import(join(repository, ".dependency-cruiser.mjs"));
  const turbo: { boundaries: { tags: Record<string, { dependencies: { allow: string[] } }> } } = JSON.parse(
    readFileSync(join(repository, "turbo.json"), "utf8"),
  );
  const reach = (name: string): string[] => (importTable[name] ?? []).flatMap((next) => [next, ...reach(next)]);
  for (const name of Object.keys(importTable)) {
    const forTests = ["testkit", ...reach("testkit")];
    const allowed = turbo.boundaries.tags[name]?.dependencies.allow.filter((tag) => !forTests.includes(tag)).sort();
    expect(allowed, name).toEqual([...new Set(reach(name))].filter((tag) => !forTests.includes(tag)).sort());
  }
});

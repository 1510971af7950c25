import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../paths.ts";

const documents = [
  "README.md",
  "ARCHITECTURE.md",
  ...globSync("docs/**/*.md", { cwd: repository }),
  ...globSync("{packages,apps}/*/README.md", { cwd: repository }),
];
const roots = "apps|packages|docs|e2e|bench|\\.ci";

/** Paths of this repository in backticks, and targets of links. Patterns and placeholders are not paths. */
function pathsNamedIn(document: string): string[] {
  const text = readFileSync(join(repository, document), "utf8");
  const quoted = [...text.matchAll(new RegExp(`\`((?:${roots})(?:/[\\w.@-]+)*/?)\``, "g"))].map((match) => match[1] ?? "");
  const linked = [...text.matchAll(/\]\(((?!https?:|#)[^)#]+)/g)].map((match) => join(dirname(document), match[1] ?? ""));
  return [...quoted, ...linked].filter((path) => !/\/generated(\/|$)/.test(path));
}

test.each(documents)("every path that %s names exists", (document) => {
  expect(pathsNamedIn(document).filter((path) => !existsSync(join(repository, path)))).toEqual([]);
});

test("every package and app opens with a README", () => {
  const folders = globSync("{packages,apps}/*/package.json", { cwd: repository }).map((path) => dirname(path));
  expect(folders.filter((folder) => !existsSync(join(repository, folder, "README.md")))).toEqual([]);
});

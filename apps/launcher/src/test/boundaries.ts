/**
 * Who imports whom: runs dependency-cruiser over the tracked sources and looks for ambient clocks and randomness in the pure packages.
 * `node boundaries.ts [FOLDER]` checks another tree than this clone (the planted faults of the tests).
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { repository } from "../paths.ts";

const folders = ["packages", "apps", "e2e", "bench"];
const ambient = /\b(Date\.now|new Date\(\)|Math\.random|performance\.now|process\.env|crypto\.|setTimeout|setInterval|fetch\()/;

interface Cruise {
  readonly modules: readonly { readonly source: string }[];
  readonly summary: { readonly violations: readonly { readonly rule: { readonly name: string }; readonly from: string; readonly to: string }[] };
}

/** Faults of the tree at `root`, one text each; empty when all is well. */
export function boundaryFaults(root: string): string[] {
  const cruise = cruiseTree(root);
  const seen = new Set(cruise.modules.map(({ source }) => source));
  const unseen = sources(root).filter((path) => !seen.has(path));
  return [
    ...cruise.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`),
    // A cruiser without a parser for TypeScript sees nothing and is content.
    ...unseen.map((path) => `not cruised: ${path}`),
    ...ambientFaults(root),
  ];
}

function cruiseTree(root: string): Cruise {
  const program = join(repository, "node_modules/dependency-cruiser/bin/dependency-cruiser.mjs");
  const present = folders.filter((folder) => existsSync(join(root, folder)));
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [program, "--config", join(repository, ".dependency-cruiser.mjs"), "--output-type", "json", ...present],
    {
      cwd: root,
      encoding: "utf8",
      maxBuffer: 256 * 1024 * 1024,
    },
  );
  if (!stdout) throw new Error(`dependency-cruiser said nothing:\n${stderr}`);
  return JSON.parse(stdout);
}

/** The .ts files under version control, or all of them where there is none (a planted tree). */
function sources(root: string): string[] {
  const all = existsSync(join(root, ".git"))
    ? execFileSync("git", ["-c", "safe.directory=*", "ls-files", ...folders.map((folder) => `${folder}/*.ts`)], { cwd: root, encoding: "utf8" })
        .split("\n")
        .filter(Boolean)
    : globSync("{packages,apps,e2e,bench}/**/*.ts", { cwd: root });
  return all.filter((path) => !path.endsWith(".d.ts") && existsSync(join(root, path)));
}

function ambientFaults(root: string): string[] {
  const pure = globSync("packages/{core,scheduler,dispatch}/src/**/*.ts", { cwd: root }).filter((path) => !/\.test\.ts$|\/simulation\//.test(path));
  return pure.flatMap((path) =>
    readFileSync(join(root, path), "utf8")
      .split("\n")
      .flatMap((line, index) => (ambient.test(withoutComment(line)) ? [`ambient clock, randomness or environment: ${path}:${index + 1}`] : [])),
  );
}

function withoutComment(line: string): string {
  return line.replace(/\/\/.*|^\s*\/?\*.*/, "");
}

if (import.meta.main) {
  const faults = boundaryFaults(resolve(process.argv[2] ?? repository));
  for (const fault of faults) process.stderr.write(`${fault}\n`);
  process.exit(faults.length === 0 ? 0 : 1);
}

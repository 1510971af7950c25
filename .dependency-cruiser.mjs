/**
 * Who may import whom: the table of ARCHITECTURE.md, section "Layout and import directions". `turbo.json` states its closure (turbo looks at
 * indirect dependencies too); a test of the launcher compares the two and plants bad imports.
 */

/** Package or app -> what it may import directly. Tests beside the code may import `testkit` too. */
export const importTable = {
  core: [],
  protocol: [],
  grpc: [],
  objects: [],
  native: [],
  keeper: [],
  db: ["core"],
  scheduler: ["core"],
  dispatch: ["core"],
  streams: ["core"],
  imagefs: ["core", "objects", "native"],
  runtime: ["core", "native"],
  services: ["core", "scheduler", "dispatch", "db", "objects"],
  api: ["core", "protocol", "grpc", "streams", "dispatch", "services", "keeper", "imagefs", "db", "objects"],
  "worker-agent": ["core", "protocol", "grpc", "streams", "objects", "imagefs", "runtime", "native", "keeper"],
  launcher: ["core", "db", "keeper", "native"],
  testkit: ["core", "protocol", "grpc", "db"],
  e2e: ["core", "grpc", "protocol"],
  bench: ["core", "grpc", "protocol", "scheduler", "imagefs", "runtime", "native", "e2e"],
};

/** Packages that are pure: no npm package, no `node:` module. Their tests may. */
const pure = ["core", "scheduler", "dispatch"];
const apps = ["api", "worker-agent", "launcher"];
const tests = "\\.test\\.ts$|/test/|/simulation/";

function folderOf(name) {
  if (name === "e2e" || name === "bench") return `^${name}/`;
  return apps.includes(name) ? `^apps/${name}/` : `^packages/${name}/`;
}

const table = Object.entries(importTable).flatMap(([name, allowed]) => {
  const own = [folderOf(name), ...allowed.map(folderOf)];
  const ours = "^(packages|apps|e2e|bench)/";
  return [
    { name: `${name} imports`, severity: "error", from: { path: folderOf(name), pathNot: tests }, to: { path: ours, pathNot: own } },
    {
      name: `tests of ${name} import`,
      severity: "error",
      from: { path: `${folderOf(name)}.*(${tests})` },
      to: { path: ours, pathNot: [...own, folderOf("testkit")] },
    },
  ];
});

export default {
  forbidden: [
    ...table,
    {
      name: "pure packages import no node: module",
      severity: "error",
      from: { path: pure.map(folderOf), pathNot: tests },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "pure packages import no npm package",
      severity: "error",
      from: { path: pure.map(folderOf), pathNot: tests },
      to: { path: "node_modules", pathNot: "^packages/" },
    },
    {
      name: "only deps.ts of the api touches db and objects",
      severity: "error",
      from: { path: "^apps/api/src/", pathNot: ["^apps/api/src/deps\\.ts$", tests] },
      to: { path: ["^packages/db/", "^packages/objects/"], pathNot: "/object-key\\.ts$", dependencyTypesNot: ["type-only"] },
    },
    { name: "nothing is imported that does not resolve", severity: "error", from: {}, to: { couldNotResolve: true } },
    { name: "no circles", severity: "error", from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } } },
  ],
  options: {
    parser: "swc",
    tsPreCompilationDeps: true,
    doNotFollow: { path: ["node_modules", "/generated/"] },
    exclude: { path: ["/generated/"] },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"], extensions: [".ts", ".mjs", ".js", ".json"] },
  },
};

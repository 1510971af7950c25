/**
 * Makes `generated/`: Modal's messages from the descriptors inside the pinned wheel, ours from `proto/`. Nothing of it is committed. A second run
 * with the same inputs does nothing. Needs a Python with the wheel: SQUALL_CLIENT_PYTHON.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const target = join(root, "generated");
const python = process.env["SQUALL_CLIENT_PYTHON"] ?? "python3";
const options = "target=ts,import_extension=ts,erasable_syntax=true";

const inputs = [
  "modal-client.json",
  "package.json",
  "scripts/dump-descriptors.py",
  "scripts/generate.ts",
  ...globSync("proto/**/*.proto", { cwd: root }).sort(),
];
const hash = createHash("sha256");
for (const input of inputs) hash.update(input).update(readFileSync(join(root, input)));
const stamp = hash.digest("hex");

if (existsSync(join(target, "stamp")) && readFileSync(join(target, "stamp"), "utf8") === stamp) {
  console.error("protocol: generated code is current");
} else {
  generate();
}

function generate(): void {
  checkClientVersion();
  const startedAt = performance.now();
  const work = mkdtempSync(join(root, ".generate-"));
  try {
    const modal = join(work, "modal.binpb");
    execFileSync(python, [join(root, "scripts/dump-descriptors.py"), modal], { stdio: ["ignore", "inherit", "inherit"] });
    buf([modal, "--output", join(work, "out/modal")], work);
    buf([join(root, "proto"), "--output", join(work, "out/squall")], work);
    rmSync(join(work, "out/modal/google"), { recursive: true, force: true }); // the code imports @bufbuild/protobuf/wkt
    cpSync(modal, join(work, "out/modal.binpb"));
    writeFileSync(join(work, "out/stamp"), stamp);
    rmSync(target, { recursive: true, force: true });
    renameSync(join(work, "out"), target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  console.error(`protocol: generated in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
}

function buf(args: readonly string[], work: string): void {
  const template = join(work, "buf.gen.yaml");
  const plugin = join(root, "node_modules/.bin/protoc-gen-es");
  writeFileSync(template, JSON.stringify({ version: "v2", plugins: [{ local: plugin, out: ".", opt: options.split(",") }] }));
  mkdirSync(join(work, "out"), { recursive: true });
  execFileSync(join(root, "node_modules/.bin/buf"), ["generate", ...args, "--template", template], { cwd: work, stdio: ["ignore", "inherit", "inherit"] });
}

function checkClientVersion(): void {
  const pinned: { version: string } = JSON.parse(readFileSync(join(root, "modal-client.json"), "utf8"));
  const installed = execFileSync(python, ["-c", "import importlib.metadata as m; print(m.version('modal'))"], { encoding: "utf8" }).trim();
  if (installed !== pinned.version)
    throw new Error(`${python} has modal ${installed}, the pin is ${pinned.version}: set SQUALL_CLIENT_PYTHON to a Python with the pinned wheel`);
}

/**
 * Lists what differs on the wire between two versions of the Modal client, so that a new pin is a reviewed change:
 * `pnpm --filter @squall/protocol diff-clients 1.6.4 1.6.5`. An argument is a version (fetched from the package index) or the path of a wheel.
 */
import { execFileSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { type FileDescriptorSet, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { compareDescriptors } from "./compare-descriptors.ts";

const python = process.env["SQUALL_CLIENT_PYTHON"] ?? "python3";
const [before, after] = process.argv.slice(2);
if (!before || !after) {
  console.error("usage: diff-clients BEFORE AFTER, each a version of modal or a wheel");
  process.exit(2);
}
for (const line of compareDescriptors(descriptorsOf(before), descriptorsOf(after))) console.log(line);

function descriptorsOf(client: string): FileDescriptorSet {
  const work = mkdtempSync(join(tmpdir(), "squall-client-"));
  try {
    const wheel = client.endsWith(".whl") ? client : download(client, work);
    execFileSync(python, ["-m", "zipfile", "-e", wheel, join(work, "tree")]);
    const descriptors = join(work, "modal.binpb");
    const dump = join(import.meta.dirname, "dump-descriptors.py");
    execFileSync(python, [dump, descriptors], { env: { ...process.env, PYTHONPATH: join(work, "tree") }, stdio: ["ignore", "ignore", "inherit"] });
    return fromBinary(FileDescriptorSetSchema, readFileSync(descriptors));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function download(version: string, folder: string): string {
  execFileSync(python, ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", folder, `modal==${version}`], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const [wheel] = globSync("*.whl", { cwd: folder });
  if (!wheel) throw new Error(`no wheel of modal ${version}`);
  return join(folder, wheel);
}

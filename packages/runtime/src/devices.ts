import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { RuntimeError } from "./error.ts";
import { type CdiSpec, type DeviceNode, parseCdiSpec } from "./spec/cdi.ts";
import type { ContainerEdits } from "./spec/container-edits.ts";
import type { OciDeviceRule, OciMount } from "./spec/oci-spec.ts";

/** Where the Container Device Interface keeps its specifications; we read the JSON ones (`nvidia-ctk cdi generate --format=json`). */
const cdiDirs = ["/etc/cdi", "/var/run/cdi"];

/** All readable CDI specifications of this machine; empty where there are none. A file that is no CDI specification fails with its name. */
export function readCdiSpecs(dirs: readonly string[] = cdiDirs): CdiSpec[] {
  return dirs.flatMap((dir) => listJson(dir).map((file) => parseFile(file)));
}

/** What the named devices (by name or `kind=name`) change in a container's spec. Rejects a name that no specification has. */
export function editsForDevices(specs: readonly CdiSpec[], names: readonly string[]): ContainerEdits {
  const found = names.map((name) => {
    const spec = specs.find((each) => each.devices.some((device) => device.name === name || `${each.kind}=${device.name}` === name));
    const device = spec?.devices.find((each) => each.name === name || `${spec.kind}=${each.name}` === name);
    if (!spec || !device) throw new RuntimeError("give device", `no CDI specification on this machine describes ${name}`);
    return { spec, device };
  });
  const edits = [...new Set(found.map(({ spec }) => spec.edits)), ...found.map(({ device }) => device.edits)]; // what all devices of a kind share, once
  const nodes = uniqueBy(
    edits.flatMap((each) => each.deviceNodes),
    (node) => node.path,
  );
  const mounts = edits.flatMap((each) => each.mounts).flatMap((mount) => [mount, ...libraryByItsSoname(mount)]);
  return {
    env: Object.fromEntries(edits.flatMap((each) => each.env)),
    mounts: [...nodes.map(nodeMount), ...uniqueBy(mounts, (mount) => mount.containerPath).map(fileMount)],
    deviceRules: nodes.map(nodeRule),
  };
}

// In a user namespace nodes cannot be made, only bound; so nodev is the one option that these binds do without.
function nodeMount(node: DeviceNode): OciMount {
  return { destination: node.path, type: "bind", source: node.hostPath, options: ["bind", "nosuid", "noexec", "rw"] };
}

function nodeRule(node: DeviceNode): OciDeviceRule {
  const { rdev } = statSync(node.hostPath);
  // glibc's gnu_dev_major and gnu_dev_minor, for numbers below 2^32
  return { allow: true, access: "rwm", type: "c", major: (rdev >>> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) };
}

function fileMount({ hostPath, containerPath }: { hostPath: string; containerPath: string }): OciMount {
  return { destination: containerPath, type: "bind", source: hostPath, options: ["bind", "ro", "nosuid", "nodev"] };
}

/** The vendor's hooks would make these names with ldconfig; we run no hooks: `libcuda.so.550.54.15` is shown as `libcuda.so.1` too. */
function libraryByItsSoname({ hostPath, containerPath }: { hostPath: string; containerPath: string }): { hostPath: string; containerPath: string }[] {
  const match = /^(.*\/lib[^/]+\.so)\.\d+\.\d+(\.\d+)*$/.exec(containerPath);
  return match ? [{ hostPath, containerPath: `${match[1]}.1` }] : [];
}

function uniqueBy<T>(items: readonly T[], key: (item: T) => string): T[] {
  return [...new Map(items.map((item) => [key(item), item])).values()];
}

function listJson(dir: string): string[] {
  try {
    return readdirSync(dir)
      .filter((name) => name.endsWith(".json"))
      .sort()
      .map((name) => path.join(dir, name));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}

function parseFile(file: string): CdiSpec {
  try {
    return parseCdiSpec(JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    throw new RuntimeError("read CDI specification", `${file}: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

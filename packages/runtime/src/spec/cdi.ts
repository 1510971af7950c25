// The parts of a Container Device Interface specification that we apply. Hooks are left out on purpose: we run no program of the host for a container.
// https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md

/** A device node to show in the container. */
export interface DeviceNode {
  readonly path: string;
  readonly hostPath: string;
}

/** What a device, or all of a kind, need in a container. */
export interface CdiEdits {
  readonly env: readonly (readonly [string, string])[];
  readonly deviceNodes: readonly DeviceNode[];
  readonly mounts: readonly { readonly hostPath: string; readonly containerPath: string }[];
}

/** One specification file. */
export interface CdiSpec {
  /** "nvidia.com/gpu" */
  readonly kind: string;
  readonly devices: readonly { readonly name: string; readonly edits: CdiEdits }[];
  /** Applied once when any device of the file is given. */
  readonly edits: CdiEdits;
}

/** Reads a specification out of parsed JSON; throws with the name of what is missing. */
export function parseCdiSpec(value: unknown): CdiSpec {
  const record = object(value, "specification");
  return {
    kind: text(record["kind"], "kind"),
    devices: list(record["devices"]).map((each) => {
      const device = object(each, "device");
      return { name: text(device["name"], "device name"), edits: parseEdits(device["containerEdits"]) };
    }),
    edits: parseEdits(record["containerEdits"]),
  };
}

function parseEdits(value: unknown): CdiEdits {
  const record = value === undefined || value === null ? {} : object(value, "containerEdits");
  return {
    env: list(record["env"]).map((each) => splitAssignment(text(each, "env"))),
    deviceNodes: list(record["deviceNodes"]).map((each) => {
      const node = object(each, "device node");
      const path = absolute(node["path"], "device node path");
      return { path, hostPath: node["hostPath"] === undefined ? path : absolute(node["hostPath"], "hostPath") };
    }),
    mounts: list(record["mounts"]).map((each) => {
      const mount = object(each, "mount");
      return { hostPath: absolute(mount["hostPath"], "hostPath"), containerPath: absolute(mount["containerPath"], "containerPath") };
    }),
  };
}

function splitAssignment(assignment: string): readonly [string, string] {
  const at = assignment.indexOf("=");
  if (at < 1) throw new Error(`env ${JSON.stringify(assignment)} is no assignment`);
  return [assignment.slice(0, at), assignment.slice(at + 1)];
}

function absolute(value: unknown, what: string): string {
  const path = text(value, what);
  if (!path.startsWith("/") || path.split("/").includes("..")) throw new Error(`${what} ${JSON.stringify(path)} is not an absolute path`);
  return path;
}

function list(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Error("a list is expected");
  return value;
}

function object(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`${what} is not an object`);
  return { ...value };
}

function text(value: unknown, what: string): string {
  if (typeof value !== "string" || value === "") throw new Error(`${what} is missing`);
  return value;
}

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { editsForDevices, readCdiSpecs } from "../devices.ts";

// the shape that nvidia-ctk writes, with /dev/null (1:3) and /dev/zero (1:5) for cards
const specification = {
  cdiVersion: "0.5.0",
  kind: "nvidia.com/gpu",
  devices: [
    { name: "GPU-a", containerEdits: { deviceNodes: [{ path: "/dev/nvidia0", hostPath: "/dev/null" }] } },
    { name: "GPU-b", containerEdits: { deviceNodes: [{ path: "/dev/nvidia1", hostPath: "/dev/zero" }] } },
  ],
  containerEdits: {
    env: ["NVIDIA_VISIBLE_DEVICES=void"],
    deviceNodes: [{ path: "/dev/nvidiactl", hostPath: "/dev/full" }],
    mounts: [{ hostPath: "/usr/lib/libcuda.so.550.54.15", containerPath: "/usr/lib/libcuda.so.550.54.15", options: ["ro", "rbind"] }],
    hooks: [{ hookName: "createContainer", path: "/usr/bin/nvidia-ctk", args: ["nvidia-ctk", "hook"] }],
  },
};

function specsOf(value: unknown) {
  const dir = mkdtempSync(path.join(tmpdir(), "squall-cdi-"));
  writeFileSync(path.join(dir, "nvidia.json"), JSON.stringify(value));
  try {
    return readCdiSpecs([dir, path.join(dir, "absent")]);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test("a device brings its node, its kind's nodes and files, and no hook", () => {
  const edits = editsForDevices(specsOf(specification), ["GPU-b"]);
  expect(edits.mounts.map((mount) => [mount.source, mount.destination])).toEqual([
    ["/dev/full", "/dev/nvidiactl"],
    ["/dev/zero", "/dev/nvidia1"],
    ["/usr/lib/libcuda.so.550.54.15", "/usr/lib/libcuda.so.550.54.15"],
    ["/usr/lib/libcuda.so.550.54.15", "/usr/lib/libcuda.so.1"],
  ]);
  expect(edits.deviceRules.map(({ major, minor }) => [major, minor])).toEqual([
    [1, 7],
    [1, 5],
  ]);
  expect(edits.env).toEqual({ NVIDIA_VISIBLE_DEVICES: "void" });
  expect(JSON.stringify(edits)).not.toContain("nvidia-ctk");
});

test("what devices share is given once, and files are never writable, setuid or devices", () => {
  const edits = editsForDevices(specsOf(specification), ["GPU-a", "nvidia.com/gpu=GPU-b"]);
  expect(edits.mounts.filter((mount) => mount.destination === "/dev/nvidiactl")).toHaveLength(1);
  for (const mount of edits.mounts) expect(mount.options).toContain("nosuid");
  for (const mount of edits.mounts.filter((each) => !each.destination.startsWith("/dev/"))) expect(mount.options).toEqual(["bind", "ro", "nosuid", "nodev"]);
});

test("a device that no specification has is refused by name", () => {
  expect(() => editsForDevices(specsOf(specification), ["GPU-c"])).toThrow(/GPU-c/);
});

test("a file that is no CDI specification fails with its name", () => {
  expect(() => specsOf({ kind: "x", devices: [{ name: "a", containerEdits: { mounts: [{ hostPath: "relative", containerPath: "/x" }] } }] })).toThrow(
    /nvidia\.json: hostPath/,
  );
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { buildOciSpec, type ContainerSpec } from "./build.ts";

const spec: ContainerSpec = {
  rootPath: "/home/agent/ta-1/root",
  initPath: "/cache/squall-init",
  uidBase: 1 << 28,
  hostname: "box",
  args: ["python"],
  env: { A: "1" },
  cwd: "/root",
  netnsPath: "/run/net/0.ns",
  sysfsPath: "/run/net/0.sys",
  binds: [{ source: "/home/pkg", target: "/pkg", readOnly: true }],
  cgroupPath: "/sq-abcdef/ta-1/main",
  milliCpu: 1000,
  memoryBytes: 128 << 20,
  limitsSwap: true,
  pidsLimit: 100,
  sharedMemoryBytes: 64 << 20,
  openFilesLimit: 20_000,
  devices: [],
};

test("whatever is asked for, the walls stand", () => {
  const asked = fc.record({
    args: fc.array(fc.string(), { minLength: 1 }),
    env: fc.dictionary(fc.string({ minLength: 1 }), fc.string()),
    milliCpu: fc.integer({ min: 0, max: 1_000_000 }),
    milliCpuLimit: fc.integer({ min: 1, max: 1_000_000 }),
    memoryBytes: fc.integer({ min: 1 << 20, max: 2 ** 40 }),
    binds: fc.array(fc.record({ source: fc.constant("/x"), target: fc.constant("/y"), readOnly: fc.boolean() })),
  });
  fc.assert(
    fc.property(asked, (some) => {
      const { process, linux, mounts } = buildOciSpec({ ...spec, ...some });
      expect(process.noNewPrivileges).toBe(true);
      expect(process.capabilities.ambient).toEqual([]);
      expect(process.capabilities.bounding).not.toContain("CAP_SYS_ADMIN");
      expect(linux.namespaces.map(({ type }) => type).sort()).toEqual(["cgroup", "ipc", "mount", "network", "pid", "user", "uts"]);
      expect(linux.uidMappings).toEqual([{ containerID: 0, hostID: 1 << 28, size: 65_536 }]);
      expect(linux.resources.memory).toEqual({ limit: some.memoryBytes, swap: some.memoryBytes });
      expect(linux.resources.cpu.shares).toBeGreaterThanOrEqual(2);
      expect(linux.resources.cpu.shares).toBeLessThanOrEqual(262_144);
      expect(linux.resources.cpu.quota ?? 1000).toBeGreaterThanOrEqual(1000);
      expect(linux.resources.devices[0]).toEqual({ allow: false, access: "rwm" });
      for (const mount of mounts) expect(mount.options).toContain("nosuid");
      for (const mount of mounts.filter(({ type }) => type === "bind")) expect(mount.options).toContain("nodev");
    }),
  );
});

test("the same container has the same spec", () => {
  expect(buildOciSpec(spec)).toEqual(buildOciSpec({ ...spec }));
});

test("nothing that makes namespaces, mounts or keyrings is allowed by the filter", () => {
  const { syscalls, defaultAction } = buildOciSpec(spec).linux.seccomp;
  const allowed = syscalls.filter(({ action }) => action === "SCMP_ACT_ALLOW");
  const freely = new Set(allowed.filter(({ args }) => !args).flatMap(({ names }) => names));
  for (const name of ["clone", "clone3", "unshare", "setns", "mount", "umount2", "pivot_root", "keyctl", "add_key", "bpf", "io_uring_setup", "socket"]) {
    expect([name, freely.has(name)]).toEqual([name, false]);
  }
  expect(defaultAction).toBe("SCMP_ACT_ERRNO");
  expect(allowed.filter(({ names }) => names.includes("clone")).map(({ args }) => args?.[0])).toEqual([
    { index: 0, value: 0x7e020000, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" },
  ]);
});

test("no system call is named twice", () => {
  const names = buildOciSpec(spec)
    .linux.seccomp.syscalls.filter(({ args }) => !args)
    .flatMap((rule) => rule.names);
  expect(names.length).toBe(new Set(names).size);
});

test("a device's environment and rules join the container's", () => {
  const gpu = { env: { GPU: "yes" }, mounts: [], deviceRules: [{ allow: true, access: "rwm", type: "c", major: 195, minor: 0 }] };
  const { process, linux } = buildOciSpec({ ...spec, devices: [gpu] });
  expect(process.env).toEqual(["A=1", "GPU=yes"]);
  expect(linux.resources.devices).toHaveLength(2);
});

import { expect, test } from "vitest";
import { isFit, judge } from "./judge.ts";
import type { MachineFacts } from "./machine-facts.ts";

const gib = 1024 ** 3;
const good: MachineFacts = {
  kernel: "6.8.0-45-generic",
  isRoot: true,
  filesystems: ["overlay", "tmpfs"],
  maxUserNamespaces: 10_000,
  seccompActions: ["kill_process", "errno", "allow"],
  hasFuse: false,
  cgroups: { kind: "v2", controllers: ["cpu", "memory", "pids"] },
  versions: {
    crun: "crun version 1.8.1",
    runc: "runc version 1.1.5+ds1",
    nft: "nftables v1.0.6",
    ip: "ip utility, iproute2-6.1.0",
    gcc: "gcc (Debian 12.2.0)",
  },
  freeDiskBytes: { home: 20 * gib, cache: 20 * gib },
  memoryBytes: 8 * gib,
  hasApt: true,
  probe: { kernel: "6.8.0", cgroups: "v2", userNamespaces: true, mappedOverlay: true, mappedTmpfs: true, networkNamespaces: true, loopDevices: false },
};

function finding(facts: MachineFacts, name: string) {
  const found = judge(facts).find((candidate) => candidate.name === name);
  if (!found) throw new Error(`no finding ${name}`);
  return found;
}

test("a fit machine is called fit although optional things are missing", () => {
  expect(isFit(judge(good))).toBe(true);
  expect(finding(good, "/dev/fuse")).toMatchObject({ state: "missing", isRequired: false });
});

test("a kernel that is too old is named with the version that is wanted", () => {
  const old = { ...good, kernel: "5.10.0-28-amd64" };
  expect(finding(old, "kernel")).toMatchObject({ state: "tooOld", found: "5.10.0-28-amd64 (wanted 6.3 or newer)" });
  expect(isFit(judge(old))).toBe(false);
});

test("a missing program is named with the command that installs it", () => {
  const bare = { ...good, versions: { ...good.versions, crun: undefined } };
  expect(finding(bare, "crun")).toMatchObject({ state: "missing", mend: "apt-get install -y --no-install-recommends crun" });
  expect(isFit(judge(bare))).toBe(false);
});

test("a missing cgroup controller is named", () => {
  const facts: MachineFacts = { ...good, cgroups: { kind: "v2", controllers: ["cpu", "pids"] } };
  expect(finding(facts, "cgroups")).toMatchObject({ state: "missing" });
  expect(finding(facts, "cgroups").mend).toContain("memory");
});

test("a refused trial carries the kernel's reason", () => {
  const facts: MachineFacts = {
    ...good,
    probe: {
      kernel: "6.8.0",
      cgroups: "v2",
      userNamespaces: true,
      mappedOverlay: false,
      mappedOverlayReason: "mount_setattr: EINVAL",
      mappedTmpfs: true,
      networkNamespaces: true,
      loopDevices: false,
    },
  };
  expect(finding(facts, "trial: id-mapped overlay")).toMatchObject({ state: "missing", found: "mount_setattr: EINVAL" });
});

test("trials that could not be run are said, and do not condemn the machine", () => {
  const facts: MachineFacts = { ...good, probe: undefined };
  expect(finding(facts, "container trials").state).toBe("unknown");
  expect(isFit(judge(facts))).toBe(true);
});

test("every finding that is not ok says what mends it", () => {
  const nothing: MachineFacts = {
    ...good,
    kernel: "",
    isRoot: false,
    filesystems: [],
    maxUserNamespaces: 0,
    seccompActions: [],
    cgroups: { kind: "none", controllers: [] },
    versions: { crun: undefined, runc: undefined, nft: undefined, ip: undefined, gcc: undefined },
    freeDiskBytes: { home: 0, cache: 0 },
    memoryBytes: 0,
    hasApt: false,
  };
  for (const found of judge(nothing).filter(({ state }) => state !== "ok")) expect(found.mend, found.name).toBeTruthy();
});

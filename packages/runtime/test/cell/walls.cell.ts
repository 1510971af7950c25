import { execFileSync } from "node:child_process";
import { lstatSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Runtime } from "../../src/runtime.ts";
import { closeCellRuntime, imageTree, openCellRuntime, place, runToEnd, runtimeName, shell } from "./rig.ts";

let runtime: Runtime;

beforeAll(async () => {
  runtime = await openCellRuntime();
});

afterAll(() => closeCellRuntime(runtime));

test("the command runs with a filter, without new privileges, in ids of its own and with a short list of capabilities", async () => {
  const { stdout, uidBase } = await runToEnd(runtime, {
    containerId: "ta-self",
    args: shell("cat /proc/self/status; cat /proc/self/uid_map /proc/self/gid_map; ls /proc | grep '^[0-9]'"),
  });
  expect(stdout).toMatch(/^Seccomp:\t2$/m);
  expect(stdout).toMatch(/^NoNewPrivs:\t1$/m);
  const capabilities = "00000000800405fb"; // CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT SETFCAP
  expect(stdout).toMatch(new RegExp(`^CapEff:\t${capabilities}$`, "m"));
  expect(stdout).toMatch(new RegExp(`^CapBnd:\t${capabilities}$`, "m"));
  expect(stdout.match(new RegExp(`^ +0 +${uidBase} +65536$`, "gm"))).toHaveLength(2);
  expect(
    stdout
      .match(/^[0-9]+$/gm)
      ?.map(Number)
      .every((pid) => pid < 40),
  ).toBe(true);
});

test("namespaces, mounts, keyrings, devices and other kernel doors are refused", async () => {
  const device = statSync("/dev/null");
  const { stdout } = await runToEnd(runtime, { containerId: "ta-calls", args: ["/bin/probe", "calls"] });
  const answers = Object.fromEntries(
    stdout
      .trim()
      .split("\n")
      .map((line) => line.split(" ")),
  );
  const refused = ["unshare-user", "unshare-net", "setns", "mount", "umount", "pivot-root", "fsopen", "open-tree", "keyctl", "add-key", "request-key", "bpf"];
  for (const name of [...refused, "perf", "userfaultfd", "open-by-handle", "sethostname", "chmod-null", "chown-null"])
    expect([name, answers[name]]).toEqual([name, "EPERM"]);
  for (const name of ["clone-user", "clone-pid"]) expect([name, answers[name]]).toEqual([name, expect.stringMatching(/^(EPERM|ENOSYS)$/)]);
  for (const name of ["clone3", "io-uring", "vsock", "af-alg"]) expect([name, answers[name]]).toEqual([name, "ENOSYS"]);
  for (const name of ["raw-socket", "mknod-disk"]) expect([name, answers[name]]).toEqual([name, "EPERM"]);
  for (const name of ["write-sysctl", "write-sys", "write-init", "write-hosts"])
    expect([name, answers[name]]).toEqual([name, expect.stringMatching(/^(EROFS|EACCES)$/)]);
  for (const name of ["clone-plain", "inet-socket", "chown-own", "setuid"]) expect([name, answers[name]]).toEqual([name, "ok"]);
  expect(statSync("/dev/null")).toMatchObject({ mode: device.mode, uid: 0, gid: 0 });
});

test("only lo and eth0 show in /sys, and no path of the host in /proc/mounts", async () => {
  const { stdout } = await runToEnd(runtime, { containerId: "ta-sys", args: shell("ls /sys/class/net; echo --; cat /proc/mounts") });
  const [links, mounts] = stdout.split("--\n");
  expect(links).toBe("eth0\nlo\n");
  expect(mounts).not.toContain(place.containersDir);
  expect(mounts).toMatch(/^squall \/ overlay rw,nodev/m);
});

test("files made by root inside belong to nobody of the host, and are inside with id 0", async () => {
  const { stdout } = await runToEnd(runtime, {
    containerId: "ta-own",
    args: shell("echo x > /new; mkdir /dir; chown 1000:1000 /dir; stat -c '%u %g' /new /dir /bin/busybox /root"),
  });
  expect(stdout).toBe("0 0\n1000 1000\n0 0\n0 0\n");
});

test("the image tree stays as it was", async () => {
  const before = readFileSync(path.join(imageTree(), "bin/busybox")).length;
  await runToEnd(runtime, { containerId: "ta-tree", args: shell("rm -rf /bin /etc; echo gone") });
  expect(readFileSync(path.join(imageTree(), "bin/busybox")).length).toBe(before);
});

test("a fork bomb stays inside: forks fail at the limit and the container ends", async () => {
  const { end, stdout } = await runToEnd(runtime, { containerId: "ta-bomb", args: ["/bin/probe", "forks"], pidsLimit: 64 });
  expect(end).toMatchObject({ kind: "exited", code: 0 });
  expect(stdout).toMatch(/^6[0-3] forks, then EAGAIN$/m);
});

test("a full disk stays inside: writes fail at the limit", async () => {
  const { stdout } = await runToEnd(runtime, { containerId: "ta-disk", args: ["/bin/probe", "fill", "/root/big"], diskBytes: 64 << 20 });
  expect(stdout).toMatch(/^(4[0-9]|5[0-9]|6[0-4]) MiB, then ENOSPC$/m);
});

test("shared memory and files in /dev count against the memory limit, files in /tmp do not", async () => {
  const { end, stdout } = await runToEnd(runtime, {
    containerId: "ta-tmp",
    args: shell("head -c 200000000 /dev/zero > /tmp/big; ls -l /tmp/big | wc -l"),
    memoryBytes: 64 << 20,
  });
  expect(end).toMatchObject({ kind: "exited", code: 0, oomKills: 0 });
  expect(stdout).toBe("1\n");
});

test.each([
  ["/dev as a link", { dev: "/tmp/cell-host-target" }],
  ["/proc as a link", { proc: "/tmp/cell-host-target" }],
  ["/sys as a link", { sys: "/tmp/cell-host-target" }],
  ["/etc as a link", { etc: "/tmp/cell-host-target" }],
  ["/etc/hosts as an absolute link", { "etc/hosts": "/tmp/cell-host-target/file" }],
  ["/etc/resolv.conf as a relative link", { "etc/resolv.conf": "../../../../tmp/cell-host-target/file" }],
  ["/etc/passwd as a link", { "etc/passwd": "/tmp/cell-host-target/file" }],
  ["/root as a link", { root: "/tmp/cell-host-target" }],
  ["/__modal as a link", { __modal: "/tmp/cell-host-target" }],
])("an image with %s starts and touches nothing of the host", async (_, links) => {
  const target = "/tmp/cell-host-target";
  mkdirSync(target, { recursive: true, mode: 0o777 });
  writeFileSync(path.join(target, "file"), "untouched");
  const hostile = path.join(place.containersDir, "..", "hostile");
  rmSync(hostile, { recursive: true, force: true });
  mkdirSync(path.join(hostile, "bin"), { recursive: true });
  for (const [name, to] of Object.entries(links)) {
    mkdirSync(path.dirname(path.join(hostile, name)), { recursive: true });
    symlinkSync(to, path.join(hostile, name));
  }
  for (const name of ["busybox", "sh", "cat", "ls"]) execFileSync("cp", ["-a", path.join(imageTree(), "bin", name), path.join(hostile, "bin", name)]);
  const { end, stdout } = await runToEnd(runtime, {
    containerId: "ta-hostile",
    lowers: [hostile],
    args: shell("cat /etc/hosts; ls /dev/null /proc/self/status /sys/class"),
  });
  expect(end).toMatchObject({ kind: "exited", code: 0 });
  expect(stdout).toContain("127.0.0.1 localhost");
  expect(execFileSync("ls", ["-A", target], { encoding: "utf8" })).toBe("file\n");
  expect(readFileSync(path.join(target, "file"), "utf8")).toBe("untouched");
  expect(lstatSync("/dev/null").isCharacterDevice()).toBe(true);
  rmSync(target, { recursive: true });
});

test(`the runtime is named with its version`, () => {
  expect(runtime.description).toMatch(new RegExp(`^${runtimeName} \\d+\\.\\d+\\.\\d+`));
});

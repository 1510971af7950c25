/** A function looks around and pushes against the walls of its container. */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { beforeAll, describe, expect, test } from "vitest";
import { modalRun } from "../src/modal-cli.ts";
import { type ReadyLine, sharedStack } from "../src/stack.ts";

let stack: ReadyLine;
beforeAll(() => {
  stack = sharedStack();
});

async function json(entry: string, args: readonly string[] = []): Promise<unknown> {
  const output = await modalRun(stack, `isolation.py::${entry}`, { args });
  const line = output.split("\n").find((text) => text.startsWith("JSON "));
  if (line === undefined) throw new Error(`no JSON line:\n${output}`);
  return JSON.parse(line.slice("JSON ".length));
}

// CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT SETFCAP
const capabilities = [0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 31]
  .reduce((mask, bit) => mask + 2 ** bit, 0)
  .toString(16)
  .padStart(16, "0");

/** Every TCP port that somebody on this machine listens on, whatever the address. */
function listeningPorts(): number[] {
  const listening = "0A"; // TCP_LISTEN in /proc/net/tcp
  return readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === listening)
    .map((fields) => Number.parseInt(fields[1]?.split(":")[1] ?? "", 16));
}

describe("inside a container", { timeout: 150_000 }, () => {
  test("seccomp, no_new_privs, a user namespace of its own and a short capability list are in force", async () => {
    const seen = (await json("inside")) as Record<string, string & string[] & number[] & string[][]>;
    expect(seen["seccomp"]).toBe("2");
    expect(seen["no_new_privs"]).toBe("1");
    const [first, base, size] = seen["uid_map"] as unknown as string[];
    expect(first).toBe("0");
    expect(Number(base)).toBeGreaterThanOrEqual(65_536);
    expect(size).toBe("65536");
    expect(seen["capabilities"]).toBe(capabilities);
    expect(seen["bounding"]).toBe(capabilities);
    expect(seen["interfaces"]).toEqual(["eth0", "lo"]);
    expect((seen["pids"] as unknown as number[]).length).toBeLessThan(6);
    expect(seen["pids"]).toContain(1);
    const text = JSON.stringify(seen);
    expect(text).not.toContain(stack.home);
    expect(text).not.toContain("MODAL_TOKEN");
    expect(text).not.toContain("SQUALL_HOME");
  });

  test("namespaces, mounts, keyrings, devices and kernel settings are out of reach", async () => {
    const results = (await json("system_calls")) as Record<string, string | null>;
    const worked = Object.entries(results).filter(([, error]) => error === null);
    expect(worked).toEqual([]);
    expect(results["clone3"]).toBe("ENOSYS");
  });

  test("nothing that listens on the host (api, PostgreSQL, anything), nor the metadata address, can be connected to", async () => {
    const listener = createServer().listen(0, "0.0.0.0");
    await once(listener, "listening");
    const address = listener.address();
    const port = typeof address === "object" && address ? address.port : 0;
    const hostAddresses = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter((entry) => entry.family === "IPv4")
      .map((entry) => entry.address);
    const ports = [...new Set([port, 22, ...listeningPorts()])];
    expect(ports).toContain(Number(new URL(stack.server_url).port));
    const hosts = [...hostAddresses, "127.0.0.1"];
    const targets = [...hosts.flatMap((host) => ports.map((each) => [host, each])), ["169.254.169.254", 80]];
    const results = (await json("connects", ["--targets", JSON.stringify(targets)])) as Record<string, string>;
    listener.close();
    expect(Object.keys(results).length).toBeGreaterThan(4);
    expect(Object.entries(results).filter(([, result]) => result === "open")).toEqual([]);
  });

  test("a neighbour's container cannot be connected to", async () => {
    const seen = (await json("neighbour")) as { address: string; result: Record<string, string> };
    expect(seen.address).toMatch(/^10\./);
    expect(seen.result[`${seen.address}:8000`]).not.toBe("open");
  });

  test("running out of memory is named in the error, with the limit", async () => {
    const error = (await json("memory")) as { type: string; text: string };
    expect(error.text).toMatch(/out of memory/i);
    expect(error.text).toContain("128 MiB");
  });

  test("a child that runs out of memory is killed alone", async () => {
    expect(await json("child_memory")).toBe(-9);
  });

  test("a fork bomb ends at the container's limit", async () => {
    const [children, error] = (await json("forks")) as [number, string];
    expect(error).toBe("BlockingIOError");
    expect(children).toBeLessThan(5_000);
  });

  test("a full disk stays inside the container", async () => {
    const [writtenMiB, error] = (await json("disk")) as [number, string];
    expect(error).toBe("ENOSPC");
    expect(writtenMiB).toBeGreaterThan(64);
  });

  test("a start writes no bytecode outside /root", async () => {
    const files = (await json("bytecode")) as string[];
    expect(files.filter((path) => !path.startsWith("/root/"))).toEqual([]);
  });
});

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Server } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Runtime } from "../../src/runtime.ts";
import { closeCellRuntime, openCellRuntime, output, release, runToEnd, shell, start, waitForOutput } from "./rig.ts";

// The cell's network namespace is the host. Behind it lies an "internet" namespace with a public address and, to show that they are refused by us and not by
// chance, with private and metadata addresses that the host itself can reach.

const outside = { public: "203.0.113.5", private: "10.9.9.9", metadata: "169.254.169.254", host: "203.0.113.1" };
let runtime: Runtime;
let internet: ChildProcess;
const servers: Server[] = [];

const ip = (...words: string[]) => execFileSync("ip", words.join(" ").split(" "));

beforeAll(async () => {
  // a process holds the namespace; its busybox serves on all its addresses
  internet = spawn("unshare", ["-n", "sh", "-c", "ip link set lo up; echo ready; read _; exec /bin/busybox httpd -f -p 8080 -h /tmp"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(internet.stdout ?? internet, "data");
  ip("link set lo up");
  ip(`link add up0 type veth peer name eth0 netns ${internet.pid}`);
  ip(`addr add ${outside.host}/24 dev up0`);
  ip("link set up0 up");
  const within = (...words: string[]) => execFileSync("nsenter", [`--net=/proc/${internet.pid}/ns/net`, "ip", ...words.join(" ").split(" ")]);
  for (const address of [`${outside.public}/24`, `${outside.private}/32`, `${outside.metadata}/32`]) within(`addr add ${address} dev eth0`);
  within("link set eth0 up");
  for (const address of [outside.private, outside.metadata]) ip(`route add ${address}/32 dev up0`);
  ip(`route add default via ${outside.public}`);
  internet.stdin?.end("go\n");
  runtime = await openCellRuntime();
  for (const [host, port] of [
    ["127.0.0.1", 5432],
    [outside.host, 4700],
    [runtime.hostAddress, 4700],
    [runtime.hostAddress, 53],
    [runtime.hostAddress, 4790],
  ] as const) {
    const server = createServer((socket) => socket.on("error", () => {}).destroy()); // a prober is gone before it is answered
    server.listen(port, host);
    await once(server, "listening");
    servers.push(server);
  }
  for (const address of [outside.public, outside.private, outside.metadata]) await reach(address, 8080); // the control: the host gets through
}, 30_000);

afterAll(async () => {
  for (const server of servers) server.close();
  internet.kill("SIGKILL");
  await closeCellRuntime(runtime);
});

async function probeFrom(containerId: string, targets: readonly string[], blockNetwork = false): Promise<Record<string, string>> {
  const { stdout } = await runToEnd(runtime, { containerId, args: ["/bin/probe", "connect", ...targets], blockNetwork });
  return Object.fromEntries(
    stdout
      .trim()
      .split("\n")
      .map((line) => line.split(" ")),
  );
}

test("a container reaches public addresses, the DNS proxy and the blob door, and nothing else", async () => {
  const host = runtime.hostAddress;
  const open = [`${outside.public}:8080`, `${host}:53`, `${host}:4790`];
  const closed = [
    `${host}:4700`,
    `${outside.host}:4700`,
    `${outside.private}:8080`,
    `${outside.metadata}:8080`,
    "192.168.1.1:80",
    "172.16.0.1:80",
    "100.64.0.1:80",
  ];
  const answers = await probeFrom("ta-egress", [...open, ...closed, "127.0.0.1:5432"]);
  for (const target of open) expect([target, answers[target]]).toEqual([target, "open"]);
  for (const target of closed) expect([target, answers[target]]).toEqual([target, "silent"]);
  expect(answers["127.0.0.1:5432"]).toBe("refused"); // its own loopback
});

test("a container with a blocked network reaches the host's two doors only", async () => {
  const answers = await probeFrom("ta-block", [`${outside.public}:8080`, `${runtime.hostAddress}:53`], true);
  expect(answers).toEqual({ [`${outside.public}:8080`]: "ENETUNREACH", [`${runtime.hostAddress}:53`]: "open" });
});

test("the host reaches a container's port, its neighbour does not", async () => {
  const { address } = await start(runtime, { containerId: "ta-server", args: shell("echo up; exec httpd -f -p 80 -h /root") });
  await waitForOutput(runtime, "ta-server", "up");
  await reach(address, 80); // a port below 1024, too
  expect(await probeFrom("ta-neighbour", [`${address}:80`])).toEqual({ [`${address}:80`]: "silent" });
  await release(runtime, "ta-server");
});

test("a network is never used twice, and its address rests before it returns", async () => {
  const addresses: string[] = [];
  for (let round = 0; round < 3; round++) {
    const { address } = await start(runtime, { containerId: `ta-net${round}`, args: shell("true") });
    addresses.push(address);
    await release(runtime, `ta-net${round}`);
  }
  expect(new Set(addresses).size).toBe(3);
});

test("eth0 has the address, there is no IPv6, and names are asked at the host's address", async () => {
  const { address } = await start(runtime, { containerId: "ta-eth", args: shell("ip addr; cat /etc/resolv.conf /etc/hosts /etc/hostname") });
  await runtime.waitExit("ta-eth");
  const { stdout } = output(runtime, "ta-eth");
  expect(stdout).toContain(`inet ${address} peer ${runtime.hostAddress}/32`);
  expect(stdout).not.toContain("inet6");
  expect(stdout).toContain(`nameserver ${runtime.hostAddress}`);
  expect(stdout).toContain(`${address} box`);
  await release(runtime, "ta-eth");
});

/** Connects, trying again until it succeeds or 5 s have passed: the other side may be starting. */
async function reach(address: string, port: number): Promise<void> {
  const deadline = performance.now() + 5000;
  for (;;) {
    const socket = connect({ host: address, port, timeout: 1000 });
    const outcome = await new Promise<string>((resolve) => {
      socket.on("connect", () => resolve("open"));
      socket.on("timeout", () => resolve("timeout"));
      socket.on("error", (error) => resolve(error.message));
    });
    socket.destroy();
    if (outcome === "open") return;
    if (performance.now() > deadline) throw new Error(`cannot reach ${address}:${port}: ${outcome}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

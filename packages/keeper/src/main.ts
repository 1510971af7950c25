/** The keeper process: opens the doors, keeps one child alive behind them, hands it every connection. See README.md. */
import type { ChildProcess } from "node:child_process";
import { type KeeperOptions, parseArguments } from "./arguments.ts";
import { Doors } from "./doors.ts";
import { HandOver } from "./hand-over.ts";
import { KeptChild } from "./kept-child.ts";
import { asMessage, type FromChild, type ToChild, type ToParent } from "./protocol.ts";

const options = parseArguments(process.argv.slice(2));
const handOver = new HandOver();
const doors = new Doors((door, socket) => handOver.add(door, socket));

const ports = new Map<string, number>();
for (const [name, address] of options.doors) {
  const bound = await doors.open(name, address);
  if (bound.kind === "tcp") {
    ports.set(name, bound.port);
    tellParent({ type: "door", name, host: bound.host, port: bound.port });
  }
}

const child = new KeptChild({
  ...options,
  env: { ...process.env, ...childEnvironment(options, ports) },
  onStart: (started, pid) => {
    tellParent({ type: "child", pid });
    started.on("message", (value) => {
      const message = asMessage<FromChild>(value);
      if (message) void onMessage(started, pid, message);
    });
  },
  onEnd: () => handOver.childGone(),
});

let stopping = false;
async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  await child.stop(options.stopTimeoutMs);
  handOver.dropAll();
  doors.closeAll();
  process.exit(0);
}
process.on("SIGTERM", () => void stop());
process.on("SIGINT", () => void stop());
process.on("disconnect", () => void stop()); // whoever started us has died: nothing may stay behind
child.start();

async function onMessage(from: ChildProcess, pid: number, message: FromChild): Promise<void> {
  switch (message.type) {
    case "ready":
      handOver.childReady(from);
      tellParent({ type: "ready", pid });
      return;
    case "taken":
      handOver.taken(message.connection);
      return;
    case "openDoor":
      return answer(from, message.request, () => doors.open(message.name, { kind: "unix", path: message.path }, message.mode));
    case "closeDoor":
      return answer(from, message.request, async () => doors.close(message.name));
    case "doors":
      return answer(from, message.request, async () => undefined);
    default:
      message satisfies never;
  }
}

async function answer(from: ChildProcess, request: number, act: () => Promise<unknown>): Promise<void> {
  const error = await act().then(
    () => undefined,
    (fault: unknown) => String(fault),
  );
  const reply: ToChild = { type: "answer", request, doors: doors.names, ...(error === undefined ? {} : { error }) };
  if (from.connected) from.send(reply);
}

function tellParent(message: ToParent): void {
  process.send?.(message);
}

function childEnvironment({ env }: KeeperOptions, portOf: ReadonlyMap<string, number>): Record<string, string> {
  const fill = (value: string) => value.replace(/\{([\w-]+)\.port\}/g, (_, name: string) => String(portOf.get(name) ?? ""));
  return Object.fromEntries([...env].map(([name, value]) => [name, fill(value)]));
}

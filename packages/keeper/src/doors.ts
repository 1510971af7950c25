import { chmodSync, unlinkSync } from "node:fs";
import net from "node:net";
import type { DoorAddress } from "./arguments.ts";

/** Longest unix socket path that Linux takes: sun_path has 108 bytes with the closing zero (unix(7)). */
const longestPathBytes = 107;
const backlog = 1024;

export interface OpenDoor {
  readonly address: DoorAddress;
  readonly server: net.Server;
}

/**
 * The listening sockets that outlive the child. Every connection is accepted paused, so that no byte of it is read here, and handed to
 * `onConnection`.
 */
export class Doors {
  readonly #open = new Map<string, OpenDoor>();
  readonly #onConnection: (door: string, socket: net.Socket) => void;

  constructor(onConnection: (door: string, socket: net.Socket) => void) {
    this.#onConnection = onConnection;
  }

  get names(): readonly string[] {
    return [...this.#open.keys()];
  }

  /** Opens a door and answers its address with the port that it got. Opening the same one again changes nothing; a name in use elsewhere is refused. */
  async open(name: string, address: DoorAddress, mode?: number): Promise<DoorAddress> {
    const present = this.#open.get(name);
    if (present) {
      if (isSamePlace(present.address, address)) return present.address;
      throw new Error(`door ${name} is open elsewhere`);
    }
    const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => this.#onConnection(name, socket));
    const bound = await listen(server, address);
    if (bound.kind === "unix" && mode !== undefined) chmodSync(bound.path, mode);
    server.on("error", (error) => process.stderr.write(`keeper: door ${name}: ${error.message}\n`));
    this.#open.set(name, { address: bound, server });
    return bound;
  }

  /** Closes a door (and removes its socket file). Connections already handed over live on. A door that is not open is no fault. */
  close(name: string): void {
    this.#open.get(name)?.server.close();
    this.#open.delete(name);
  }

  closeAll(): void {
    for (const name of this.names) this.close(name);
  }
}

function isSamePlace(open: DoorAddress, wanted: DoorAddress): boolean {
  if (open.kind === "unix") return wanted.kind === "unix" && wanted.path === open.path;
  return wanted.kind === "tcp" && wanted.host === open.host && (wanted.port === 0 || wanted.port === open.port);
}

async function listen(server: net.Server, address: DoorAddress): Promise<DoorAddress> {
  if (address.kind === "unix") await clearPath(address.path);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(address.kind === "unix" ? { path: address.path, backlog } : { host: address.host, port: address.port, backlog }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const bound = server.address();
  if (address.kind === "unix" || bound === null || typeof bound === "string") return address;
  return { ...address, port: bound.port };
}

/** Removes a socket file that nobody answers on: what a killed keeper leaves. A path that somebody serves is refused. */
async function clearPath(path: string): Promise<void> {
  if (Buffer.byteLength(path) > longestPathBytes) throw new Error(`socket path is longer than ${longestPathBytes} bytes: ${path}`);
  const state = await new Promise<string>((resolve) => {
    const probe = net.connect(path);
    probe.on("connect", () => {
      probe.destroy();
      resolve("served");
    });
    probe.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "unknown"));
  });
  if (state === "served") throw new Error(`somebody else listens on ${path}`);
  if (state === "ECONNREFUSED") unlinkSync(path);
}

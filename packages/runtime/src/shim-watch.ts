import { closeSync, constants, openSync, readSync } from "node:fs";
import { Socket } from "node:net";
import { containerFiles } from "./names.ts";
import { type ExitRecord, readExit } from "./shim-files.ts";

/** How a container ended, or that no trace of its end is left (its shim was killed). */
export type ContainerEnd = ({ readonly kind: "exited" } & ExitRecord) | { readonly kind: "lost" };

/** Listens to one shim: push, no polling. */
export class ShimWatch {
  /** Settles once, when exit.json stands or the shim is gone without one. */
  readonly end: Promise<ContainerEnd>;
  /** Resolves when the shim has ended: then the runtime's state and the leaf cgroup are removed too. */
  readonly shimGone: Promise<void>;
  /** Whether the shim was there when we began to listen. */
  readonly wasAlive: boolean;
  readonly #exitFile: string;
  readonly #socket: Socket | undefined;
  readonly #logListeners = new Set<() => void>();
  #settle: (end: ContainerEnd) => void = () => {};

  constructor(containersDir: string, containerId: string) {
    const files = containerFiles(containersDir, containerId);
    this.#exitFile = files.exit;
    this.end = new Promise((resolve) => {
      this.#settle = resolve;
    });
    const fd = openSync(files.events, constants.O_RDONLY | constants.O_NONBLOCK);
    this.wasAlive = hasWriter(fd);
    if (!this.wasAlive) {
      closeSync(fd);
      this.#lookForExit();
      this.#settle({ kind: "lost" }); // nothing when the end is known
      this.shimGone = Promise.resolve();
      return;
    }
    const socket = new Socket({ fd, readable: true, writable: false });
    this.#socket = socket;
    socket.on("data", (events: Buffer) => {
      if (events.includes("l")) this.#tellListeners();
      if (events.includes("x")) this.#lookForExit();
    });
    socket.on("error", () => socket.destroy());
    this.shimGone = new Promise((resolve) => {
      socket.on("close", () => {
        this.#tellListeners();
        this.#lookForExit();
        this.#settle({ kind: "lost" });
        resolve();
      });
    });
    this.#lookForExit(); // its byte may be among those that hasWriter took
  }

  /** Calls back after log bytes were appended, and once more when the shim has ended. Returns the way to stop. */
  onLog(listener: () => void): () => void {
    this.#logListeners.add(listener);
    return () => this.#logListeners.delete(listener);
  }

  close(): void {
    this.#socket?.destroy();
  }

  #tellListeners(): void {
    for (const listener of this.#logListeners) listener();
  }

  #lookForExit(): void {
    const exit = readExit(this.#exitFile);
    if (exit?.kind === "exited") this.#settle(exit);
  }
}

/**
 * Whether anybody holds the fifo open for writing. Must be asked before waiting for events: the kernel reports no end of file for a fifo that had no writer when
 * it was opened.
 */
function hasWriter(fd: number): boolean {
  const scrap = Buffer.alloc(4096);
  try {
    while (readSync(fd, scrap) > 0) {} // bytes from before: the log is read from the start anyway, and exit.json is looked for
    return false;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EAGAIN") return true;
    throw error;
  }
}

import { constants, openSync } from "node:fs";
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
  readonly #socket: Socket;
  readonly #logListeners = new Set<() => void>();

  constructor(containersDir: string, containerId: string) {
    const files = containerFiles(containersDir, containerId);
    // opened without blocking: end of file comes at once when the shim is gone already
    this.#socket = new Socket({ fd: openSync(files.events, constants.O_RDONLY | constants.O_NONBLOCK), readable: true, writable: false });
    let settle: (end: ContainerEnd) => void = () => {};
    this.end = new Promise((resolve) => {
      settle = resolve;
    });
    const lookForExit = () => {
      const exit = readExit(files.exit);
      if (exit?.kind === "exited") settle(exit);
      return exit !== undefined;
    };
    this.#socket.on("data", (events: Buffer) => {
      if (events.includes("l")) for (const listener of this.#logListeners) listener();
      if (events.includes("x")) lookForExit();
    });
    this.shimGone = new Promise((resolve) => {
      this.#socket.on("error", () => this.#socket.destroy());
      this.#socket.on("close", () => {
        for (const listener of this.#logListeners) listener();
        lookForExit();
        settle({ kind: "lost" }); // nothing when the end is known
        resolve();
      });
    });
  }

  /** Calls back after log bytes were appended, and once more when the shim has ended. Returns the way to stop. */
  onLog(listener: () => void): () => void {
    this.#logListeners.add(listener);
    return () => this.#logListeners.delete(listener);
  }

  close(): void {
    this.#socket.destroy();
  }
}

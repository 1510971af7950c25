import type { ChildProcess } from "node:child_process";
import type net from "node:net";
import type { ToChild } from "./protocol.ts";

/** Connections that may wait for a child at once; further ones are closed. */
export const mostWaiting = 4096;

interface Held {
  readonly door: string;
  readonly socket: net.Socket;
}

/**
 * Hands accepted connections to the child and holds them while there is none. The keeper lets go of its copy only when the child says
 * that it took the connection; what a dying child had not taken goes to the next one.
 */
export class HandOver {
  #child: ChildProcess | undefined;
  #lastConnection = 0;
  readonly #waiting: Held[] = [];
  readonly #offered = new Map<number, Held>();

  add(door: string, socket: net.Socket): void {
    socket.on("error", () => socket.destroy()); // a caller that gave up while it waited
    const held = { door, socket };
    if (this.#child) this.#offer(this.#child, held);
    else if (this.#waiting.length < mostWaiting) this.#waiting.push(held);
    else socket.destroy();
  }

  /** The child is ready: all that waited goes to it, in order of arrival. */
  childReady(child: ChildProcess): void {
    this.#child = child;
    for (const held of this.#waiting.splice(0)) this.#offer(child, held);
  }

  taken(connection: number): void {
    this.#offered.get(connection)?.socket.destroy(); // closes our copy of the descriptor only
    this.#offered.delete(connection);
  }

  childGone(): void {
    this.#child = undefined;
    this.#waiting.unshift(...this.#offered.values());
    this.#offered.clear();
  }

  dropAll(): void {
    this.childGone();
    for (const { socket } of this.#waiting.splice(0)) socket.destroy();
  }

  #offer(child: ChildProcess, held: Held): void {
    if (held.socket.destroyed) return;
    this.#lastConnection += 1;
    const message: ToChild = { type: "connection", door: held.door, connection: this.#lastConnection };
    this.#offered.set(this.#lastConnection, held);
    // A failed send means that the child is going: `childGone` takes the connection back.
    child.send(message, held.socket, { keepOpen: true }, () => {});
  }
}

/** Connections from containers to the gateway's server: which container each belongs to, so that all of them end with it. */
import type { Socket } from "node:net";
import type { GrpcServer } from "@squall/grpc/server";
import { containerOfDoor } from "../hooks/gateway.ts";

// The client has one; its subprocesses may have their own.
const maxConnections = 64;

export class ContainerDoors {
  readonly #server: Pick<GrpcServer, "accept">;
  readonly #sockets = new Map<string, Set<Socket>>();

  constructor(server: Pick<GrpcServer, "accept">) {
    this.#server = server;
  }

  /** From now on connections to the container's door are answered; before, they are closed. */
  attach(containerId: string): void {
    if (!this.#sockets.has(containerId)) this.#sockets.set(containerId, new Set());
  }

  async detach(containerId: string): Promise<void> {
    for (const socket of this.#sockets.get(containerId) ?? []) socket.destroy();
    this.#sockets.delete(containerId);
  }

  /** The keeper's hand-over. The door says who it is: only this container has its socket. More than 64 connections are refused. */
  connection(door: string, socket: Socket): void {
    socket.on("error", () => socket.destroy()); // the other end broke off: its calls are told by their streams
    const containerId = containerOfDoor(door);
    const sockets = containerId === undefined ? undefined : this.#sockets.get(containerId);
    if (!sockets || sockets.size >= maxConnections) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    this.#server.accept(socket, containerId);
  }
}

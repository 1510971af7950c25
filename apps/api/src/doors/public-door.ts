/** The one public port: tells the protocols apart and hands each connection to its server. The keeper holds the listening socket. */
import type { Server } from "node:http";
import type { Socket } from "node:net";
import { GrpcServer } from "@squall/grpc/server";
import { sniff } from "@squall/grpc/sniff";
import type { Peer } from "../peer.ts";
import { createHttpDoor, type HttpDoorDeps, remoteAddressOf } from "./http-door.ts";

const firstBytesWithinMs = 10_000;
const tcpKeepAliveMs = 30_000;

export class PublicDoor {
  readonly #grpc: GrpcServer;
  readonly #http: Server;
  readonly #httpSockets = new Set<Socket>();
  #openRequests = 0;
  #onIdle: (() => void) | undefined;

  constructor(deps: HttpDoorDeps) {
    this.#grpc = new GrpcServer({ table: deps.table, onFault: deps.onFault });
    this.#http = createHttpDoor(deps);
    this.#http.prependListener("request", (_, response) => {
      this.#openRequests += 1;
      response.once("close", () => {
        this.#openRequests -= 1;
        if (this.#openRequests === 0) this.#onIdle?.();
      });
    });
  }

  /** Serves a new connection, whatever it speaks. */
  async accept(socket: Socket): Promise<void> {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, tcpKeepAliveMs);
    const protocol = await sniff(socket, { withinMs: firstBytesWithinMs });
    if (protocol === "http2") {
      const peer: Peer = { kind: "public", remoteAddress: remoteAddressOf(socket) };
      this.#grpc.accept(socket, peer);
    } else if (protocol === "http1") {
      this.#httpSockets.add(socket);
      socket.once("close", () => this.#httpSockets.delete(socket));
      this.#http.emit("connection", socket);
    }
  }

  /** Calls and requests under way may end within `graceMs`; resolves when no connection is left. */
  async close(graceMs: number): Promise<void> {
    await Promise.all([this.#grpc.close(graceMs), this.#closeHttp(graceMs)]);
  }

  async #closeHttp(graceMs: number): Promise<void> {
    if (this.#openRequests > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, graceMs);
        this.#onIdle = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    for (const socket of this.#httpSockets) socket.destroy();
  }
}

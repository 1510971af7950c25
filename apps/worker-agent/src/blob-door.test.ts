import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BlobDoor, blobTarget, startBlobDoor } from "./blob-door.ts";

const seen: string[] = [];
const api = createServer((request: IncomingMessage, response) => {
  seen.push(`${request.method} ${request.url} ${request.headers["x-modal-token-id"] ?? "-"}`);
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => response.writeHead(200, { etag: '"x"' }).end(Buffer.concat(chunks)));
});
let door: BlobDoor;
let base = "";

beforeAll(async () => {
  api.listen(0, "127.0.0.1");
  await once(api, "listening");
  const address = api.address();
  door = await startBlobDoor({ address: "127.0.0.1", port: 0, apiUrl: `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}` });
  base = `http://127.0.0.1:${door.port}`;
});
afterAll(async () => {
  await door.close();
  api.close();
});

describe("blob door", () => {
  test("passes blobs in both directions, without foreign headers", async () => {
    const body = Buffer.alloc(5 << 20, "b");
    const response = await fetch(`${base}/blobs/bl-1?signature=s`, { method: "PUT", body, headers: { "x-modal-token-id": "ak-1" } });
    expect(response.headers.get("etag")).toBe('"x"');
    expect(Buffer.from(await response.arrayBuffer()).equals(body)).toBe(true);
    expect(seen).toEqual(["PUT /blobs/bl-1?signature=s -"]);
  });

  test("passes nothing else", async () => {
    for (const path of ["/", "/healthz", "/internal/objects/x", "/blobs/../internal/objects/x", "/blobs/%2e%2e/internal", "/blobs/..%2finternal"]) {
      expect((await fetch(base + path)).status, path).toBe(404);
    }
    expect((await fetch(`${base}/blobs/x`, { method: "DELETE" })).status).toBe(404);
    expect(blobTarget("/blobs/..\\internal")).toBeUndefined();
    expect(blobTarget("//elsewhere/blobs/x")).toBeUndefined();
    expect(seen).toHaveLength(1);
  });

  test("one container cannot take all connections", async () => {
    const from = (localAddress: string) => connect({ port: door.port, host: "127.0.0.1", localAddress }).on("error", () => {});
    const greedy = Array.from({ length: 129 }, () => from("127.0.0.2"));
    await Promise.race(greedy.map((socket) => once(socket, "close")));
    expect(greedy.filter((socket) => socket.destroyed)).toHaveLength(1);
    const other = from("127.0.0.3");
    other.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    expect(String((await once(other, "data"))[0])).toContain("404");
    const closed = Promise.all(greedy.filter((socket) => !socket.destroyed).map((socket) => once(socket.destroy(), "close")));
    other.destroy();
    await closed;
  });
});

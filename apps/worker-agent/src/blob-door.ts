/**
 * Blobs for containers: an HTTP server on the host's end of their network that passes `/blobs/…` to the api and nothing else. The signature in the
 * URL is what admits; this door only keeps the rest of the api out of reach.
 */
import { once } from "node:events";
import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";

export interface BlobDoor {
  readonly port: number;
  close(): Promise<void>;
}

const allowedMethods = new Set(["GET", "HEAD", "PUT", "POST"]);
const maxConnections = 1024;
// One container that opens connections and lets them rest must not lock the others out.
const maxConnectionsPerContainer = 128;
const idleTimeoutMs = 120_000;
const passedHeaders = ["content-length", "content-type", "content-md5", "range", "if-match", "if-none-match"];

export async function startBlobDoor({ address, port, apiUrl }: { address: string; port: number; apiUrl: string }): Promise<BlobDoor> {
  const agent = new Agent({ keepAlive: true, maxSockets: maxConnections });
  const server = createServer({ requestTimeout: 0 }, (incoming, outgoing) => {
    pass(incoming, outgoing, { apiUrl, agent }).catch(() => outgoing.destroy());
  });
  server.maxConnections = maxConnections;
  limitPerAddress(server, maxConnectionsPerContainer);
  server.timeout = idleTimeoutMs;
  server.listen(port, address);
  await once(server, "listening");
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound ? bound.port : port,
    async close() {
      server.close();
      server.closeAllConnections();
      agent.destroy();
    },
  };
}

/** Further connections from an address that has `most` are closed at once. */
function limitPerAddress(server: Server, most: number): void {
  const openOf = new Map<string, number>();
  server.on("connection", (socket) => {
    const address = socket.remoteAddress ?? "";
    const open = openOf.get(address) ?? 0;
    if (open >= most) return void socket.destroy();
    openOf.set(address, open + 1);
    socket.once("close", () => {
      const rest = (openOf.get(address) ?? 1) - 1;
      if (rest > 0) openOf.set(address, rest);
      else openOf.delete(address);
    });
  });
}

async function pass(incoming: IncomingMessage, outgoing: ServerResponse, { apiUrl, agent }: { apiUrl: string; agent: Agent }): Promise<void> {
  const target = blobTarget(incoming.url ?? "");
  if (!target || !allowedMethods.has(incoming.method ?? "")) {
    outgoing.writeHead(404, { "content-type": "text/plain", connection: "close" }).end("only signed /blobs/ URLs are served here\n");
    return;
  }
  const headers = Object.fromEntries(passedHeaders.flatMap((name) => (incoming.headers[name] === undefined ? [] : [[name, String(incoming.headers[name])]])));
  const upstream = request(new URL(target, apiUrl), { method: incoming.method ?? "GET", headers, agent });
  outgoing.once("close", () => upstream.destroy());
  const answered = once(upstream, "response") as Promise<[IncomingMessage]>;
  const sent = pipeline(incoming, upstream).catch(() => {}); // an early answer ends the upload; a lost api shows below
  const [answer] = await answered.catch(() => []);
  if (!answer) {
    outgoing.writeHead(503, { "retry-after": "1", connection: "close" }).end("the api is away; try again\n");
    return;
  }
  outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
  await pipeline(answer, outgoing);
  await sent;
}

/** The path as it is passed on; undefined when it is not below `/blobs/` (also after dots are resolved). */
export function blobTarget(url: string): string | undefined {
  if (!url.startsWith("/blobs/") || url.includes("\\")) return undefined;
  const parsed = URL.parse(url, "http://door");
  if (parsed?.host !== "door" || !parsed.pathname.startsWith("/blobs/") || /%2e|%2f|%5c/i.test(parsed.pathname)) return undefined;
  return parsed.pathname + parsed.search;
}

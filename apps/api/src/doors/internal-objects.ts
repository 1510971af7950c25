/** `GET /internal/objects/mount/…`: files of users' mounts for agents, which show their worker token. Nothing else in the store is theirs to read. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { isObjectKey } from "@squall/objects/object-key";
import type { ServiceDeps } from "@squall/services/context";
import { authenticateWorker } from "@squall/services/worker/authenticate";
import { answerError } from "./http-answer.ts";

const prefix = "/internal/objects/";
const readableKeys = /^mount\//;

export async function serveInternalObject(request: IncomingMessage, response: ServerResponse, deps: Pick<ServiceDeps, "db" | "objects">): Promise<void> {
  const token = request.headers["x-squall-worker-token"];
  if (typeof token !== "string" || (await authenticateWorker({ deps, token })) === undefined)
    return answerError(response, 401, { code: "unauthenticated", message: "a worker token is needed" });
  const key = (request.url ?? "").slice(prefix.length);
  if (request.method !== "GET" || !readableKeys.test(key) || !isObjectKey(key))
    return answerError(response, 404, { code: "not_found", message: "no such object" });
  const found = await deps.objects.stat(key);
  if (!found) return answerError(response, 404, { code: "not_found", message: `no object ${key}` });
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": found.sizeBytes });
  await pipeline(deps.objects.get(key), response).catch((error: unknown) => {
    if (!response.destroyed) throw error; // else the agent went away
  });
}

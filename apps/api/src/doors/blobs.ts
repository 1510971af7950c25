/** `PUT` and `GET /blobs/…`: the bytes of blobs, for whoever holds a signed URL. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { ServiceError } from "@squall/core/errors";
import { type BlobRecord, findBlob } from "@squall/services/blob/find";
import { storeBlob } from "@squall/services/blob/store";
import type { ServiceDeps } from "@squall/services/context";
import type { BlobGrant, BlobUrls } from "./blob-urls.ts";
import { answerError } from "./http-answer.ts";

export interface BlobDoorDeps extends Pick<ServiceDeps, "db" | "objects" | "clock"> {
  readonly blobUrls: BlobUrls;
}

export async function serveBlob(request: IncomingMessage, response: ServerResponse, deps: BlobDoorDeps): Promise<void> {
  const grant = deps.blobUrls.verify(request.url ?? "", deps.clock.now());
  if (!grant) return answerError(response, 403, { code: "permission_denied", message: "this URL was not signed by this server, or has expired" });
  const blob = await findBlob({ deps, workspaceId: grant.workspaceId, blobId: grant.blobId });
  if (!blob) return answerError(response, 404, { code: "not_found", message: `no blob ${grant.blobId}` });
  const act = actions[`${request.method} ${grant.use}`];
  if (!act) return answerError(response, 405, { code: "unimplemented", message: `${request.method} is not allowed with this URL` });
  await act({ request, response, deps, grant, blob });
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly deps: BlobDoorDeps;
  readonly grant: BlobGrant;
  readonly blob: BlobRecord;
}

const actions: Readonly<Record<string, (exchange: Exchange) => Promise<void>>> = {
  "PUT write": put,
  "POST write": complete,
  "GET read": get,
  "HEAD read": get,
};

async function put({ request, response, deps, blob }: Exchange): Promise<void> {
  try {
    await storeBlob({ deps, blob, source: request.iterator({ destroyOnReturn: false }) });
  } catch (error) {
    if (error instanceof ServiceError) return answerError(response, 400, { code: error.code, message: error.publicMessage });
    if (request.errored || request.destroyed) return; // the sender went away
    throw error;
  }
  response.writeHead(200, { etag: `"${blob.md5Hex}"`, "content-length": 0 }).end();
}

/** Ends an upload "in parts" (see `isSinglePutHost`): the client looks for the hash of the parts' hashes in the body. */
async function complete({ request, response, blob }: Exchange): Promise<void> {
  request.resume();
  if (blob.state !== "complete") return answerError(response, 400, { code: "failed_precondition", message: "the part has not been uploaded" });
  response.writeHead(200, { "content-type": "application/xml" });
  response.end(`<CompleteMultipartUploadResult><ETag>"${blob.multipartEtag}"</ETag></CompleteMultipartUploadResult>\n`);
}

async function get({ request, response, deps, blob }: Exchange): Promise<void> {
  if (blob.state !== "complete") return answerError(response, 404, { code: "not_found", message: `blob ${blob.id} has not been uploaded` });
  const range = parseRange(request.headers.range, blob.sizeBytes);
  if (range === "unsatisfiable") {
    response.writeHead(416, { "content-range": `bytes */${blob.sizeBytes}`, "content-length": 0 }).end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: blob.sizeBytes };
  response.writeHead(range ? 206 : 200, {
    "content-type": "application/octet-stream",
    "content-length": end - start,
    "accept-ranges": "bytes",
    etag: `"${blob.md5Hex}"`,
    ...(range ? { "content-range": `bytes ${start}-${end - 1}/${blob.sizeBytes}` } : {}),
  });
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  await pipeline(deps.objects.get(blob.objectKey, { start, end }), response).catch((error: unknown) => {
    if (!response.destroyed) throw error; // else the reader went away
  });
}

/** One range of `bytes=`; undefined for none or for what may be ignored (several, malformed). `end` is exclusive. */
export function parseRange(header: string | undefined, sizeBytes: number): { start: number; end: number } | "unsatisfiable" | undefined {
  const match = header === undefined ? null : /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header);
  if (!match) return undefined;
  const [, first = "", last = ""] = match;
  if (first === "" && last === "") return undefined;
  const start = first === "" ? Math.max(0, sizeBytes - Number(last)) : Number(first);
  const end = first === "" || last === "" ? sizeBytes : Math.min(sizeBytes, Number(last) + 1);
  return start < end ? { start, end } : "unsatisfiable";
}

import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { newId } from "@squall/core/ids";
import { Channel } from "@squall/grpc/client";
import { GrpcError, statusCode } from "@squall/grpc/handler";
import { HandlerTable } from "@squall/grpc/handler-table";
import { openLocalDirectory } from "@squall/objects/local-directory";
import { ModalClient } from "@squall/protocol/modal";
import { authorizeAccess } from "@squall/services/authorize";
import type { Role, ServiceDeps } from "@squall/services/context";
import { KeyRing } from "@squall/services/secret/key-ring";
import { type TestDatabase, testDatabase } from "@squall/testkit/test-database";
import { type TestWorkspace, testWorkspace } from "@squall/testkit/test-workspace";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bindProcedures } from "../grpc/bind.ts";
import { blobProcedures } from "../grpc/blob.ts";
import { type Procedures, procedure } from "../procedure.ts";
import { BlobUrls } from "./blob-urls.ts";
import { PublicDoor } from "./public-door.ts";

const clock = { now: () => Date.now(), monotonic: () => performance.now() };
const random = { int: (bound: number) => Math.floor(Math.random() * bound) };
const logged: object[] = [];
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: (fields: object) => logged.push(fields) };

let database: TestDatabase;
let folder: string;
let deps: ServiceDeps;
let door: PublicDoor;
let listener: net.Server;
let url: string;
let port: number;
const workspaces = new Map<string, { readonly workspace: TestWorkspace; readonly role: Role }>();

beforeAll(async () => {
  database = await testDatabase();
  folder = mkdtempSync(join(tmpdir(), "squall-door-"));
  deps = { db: database.db, objects: await openLocalDirectory(folder), keys: new KeyRing(new Uint8Array(32)), clock, random, log: silent };
  const blobUrls = new BlobUrls(new Uint8Array(32).fill(3));
  const procedures = {
    ...blobProcedures({ clock, publicUrl: "http://127.0.0.1:1", blobUrls }),
    queueLen: procedure({ resource: "app", action: "read" }, async (_request, { warn }) => {
      warn("half of it – ½");
      throw new Error("a secret of the inside");
    }),
  } satisfies Procedures<typeof ModalClient>;
  const gate = {
    deps,
    authenticateToken: async (tokenId: string, secret: string) => callerOf(tokenId, secret),
    authenticateContainer: async () => undefined,
    authorize: authorizeAccess,
  };
  const table = new HandlerTable({ unknown: (path) => `no ${path} here` }).add(ModalClient, bindProcedures(ModalClient, procedures, gate));
  door = new PublicDoor({ ...deps, table, blobUrls, onFault: () => {}, health: () => ({ status: "ok" }) });
  listener = net.createServer((socket) => void door.accept(socket)).listen(0, "127.0.0.1");
  await new Promise((resolve) => listener.once("listening", resolve));
  const address = listener.address();
  port = typeof address === "object" && address ? address.port : 0;
  url = `http://127.0.0.1:${port}`;
}, 120_000);
afterAll(async () => {
  listener.close();
  await door.close(100);
  await database.close();
  rmSync(folder, { recursive: true });
});

function callerOf(tokenId: string, secret: string) {
  const known = workspaces.get(tokenId);
  if (!known || secret !== "right") return undefined;
  const { workspace, role } = known;
  return { actor: { kind: "user" as const, userId: workspace.userId, tokenId: undefined, role }, workspace: { id: workspace.id, name: workspace.name } };
}

async function member(role: Role = "member", of?: TestWorkspace) {
  const workspace = of ?? (await testWorkspace(database));
  const tokenId = `ak-${workspaces.size}`;
  workspaces.set(tokenId, { workspace, role });
  const headers = { "x-modal-token-id": tokenId, "x-modal-token-secret": "right" };
  const channel = new Channel({ url, headers });
  return { workspace, channel, headers };
}

function announce(bytes: Uint8Array) {
  const base64 = (algorithm: string) => createHash(algorithm).update(bytes).digest("base64");
  return { contentMd5: base64("md5"), contentSha256Base64: base64("sha256"), contentLength: BigInt(bytes.length) };
}

async function create(channel: Channel, bytes: Uint8Array, headers: Record<string, string> = {}) {
  const answer = await channel.unary(ModalClient.method.blobCreate, announce(bytes), { headers });
  const { uploadTypesOneof: several } = answer;
  return { blobId: answer.blobId, url: answer.uploadTypeOneof.value as string, several, blobIds: answer.blobIds };
}

async function refusal(call: Promise<unknown>): Promise<GrpcError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof GrpcError) return error;
  throw new Error("it was not refused");
}

async function errorOf(response: Response): Promise<{ readonly code: string; readonly message: string }> {
  return JSON.parse(await response.text());
}

/** A JSON call that dials us by another name. */
async function postAs(host: string, method: string, { body, headers }: { body: object; headers: Record<string, string> }): Promise<Record<string, unknown>> {
  const request = http.request({
    port,
    path: `/modal.client.ModalClient/${method}`,
    method: "POST",
    headers: { ...headers, host, "content-type": "application/json" },
  });
  request.end(JSON.stringify(body));
  const [response] = await once(request, "response");
  return JSON.parse(await text(response));
}

const post = (method: string, headers: Record<string, string> = {}) =>
  fetch(`${url}/modal.client.ModalClient/${method}`, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: "{}" });

test("a blob goes up, comes back whole and in ranges, and only its announced bytes are taken", async () => {
  const { channel } = await member();
  const bytes = Buffer.from("some bytes of a blob");
  const { blobId, url: upload } = await create(channel, bytes);
  expect((await refusal(channel.unary(ModalClient.method.blobGet, { blobId }))).code).toBe(statusCode.notFound);
  for (const wrong of ["some bytes of a blub", "short", "some bytes of a blob and more"]) {
    const answer = await fetch(upload, { method: "PUT", body: wrong });
    expect([answer.status, (await errorOf(answer)).message]).toEqual([400, expect.any(String)]);
  }
  expect((await refusal(channel.unary(ModalClient.method.blobGet, { blobId }))).code).toBe(statusCode.notFound);
  const answer = await fetch(upload, { method: "PUT", body: bytes });
  expect([answer.status, answer.headers.get("etag")]).toEqual([200, `"${createHash("md5").update(bytes).digest("hex")}"`]);
  const { downloadUrl } = await channel.unary(ModalClient.method.blobGet, { blobId });
  expect(await (await fetch(downloadUrl)).text()).toBe(bytes.toString());
  const part = await fetch(downloadUrl, { headers: { range: "bytes=5-9" } });
  expect([part.status, part.headers.get("content-range"), await part.text()]).toEqual([206, "bytes 5-9/20", "bytes"]);
  expect(await (await fetch(downloadUrl, { headers: { range: "bytes=-4" } })).text()).toBe("blob");
  expect((await fetch(downloadUrl, { headers: { range: "bytes=20-" } })).status).toBe(416);
});

test("a large blob streams through", async () => {
  const { channel } = await member();
  const bytes = Buffer.alloc(40 * 1024 * 1024, "squall");
  const { blobId, url: upload } = await create(channel, bytes);
  expect((await fetch(upload, { method: "PUT", body: bytes })).status).toBe(200);
  const { downloadUrl } = await channel.unary(ModalClient.method.blobGet, { blobId });
  expect(Buffer.compare(Buffer.from(await (await fetch(downloadUrl)).arrayBuffer()), bytes)).toBe(0);
});

test("a URL to write does not read, one to read does not write, and an unsigned one does neither", async () => {
  const { channel } = await member();
  const { blobId, url: upload } = await create(channel, Buffer.from("x"));
  await fetch(upload, { method: "PUT", body: "x" });
  const { downloadUrl } = await channel.unary(ModalClient.method.blobGet, { blobId });
  expect((await fetch(upload)).status).toBe(405);
  expect((await fetch(downloadUrl, { method: "PUT", body: "x" })).status).toBe(405);
  expect((await fetch(downloadUrl.replace(/signature=.*/, ""))).status).toBe(403);
  expect((await fetch(`${url}/blobs/../internal/objects/blob/${blobId}`)).status).toBe(401);
});

test("another workspace's blob does not exist", async () => {
  const { channel } = await member();
  const { blobId, url: upload } = await create(channel, Buffer.from("mine"));
  await fetch(upload, { method: "PUT", body: "mine" });
  const stranger = await member();
  expect((await refusal(stranger.channel.unary(ModalClient.method.blobGet, { blobId }))).code).toBe(statusCode.notFound);
});

test("the answer suits the client's rule about hosts: one URL for private addresses, parts for names", async () => {
  const { channel } = await member();
  const near = await create(channel, Buffer.from("x"));
  expect([near.url.startsWith(`${url}/blobs/`), near.several.case, near.blobIds]).toEqual([true, "uploadUrls", [near.blobId]]);
  const { headers } = await member();
  const body = { ...announce(Buffer.from("x")), contentLength: "1" };
  const far = await postAs("squall.example:80", "BlobCreate", { headers, body });
  const part = { partLength: "1", uploadUrls: [far["uploadUrl"]], completionUrl: far["uploadUrl"] };
  expect(far).toMatchObject({ uploadUrl: expect.stringMatching(/^http:\/\/squall\.example:80\/blobs\//), multiparts: { items: [part] } });
  const path = String(far["uploadUrl"]).slice("http://squall.example:80".length);
  expect((await fetch(url + path, { method: "POST", body: "<xml/>" })).status).toBe(400);
  expect((await fetch(url + path, { method: "PUT", body: "x" })).status).toBe(200);
  const md5OfMd5 = createHash("md5").update(createHash("md5").update("x").digest()).digest("hex");
  expect(await (await fetch(url + path, { method: "POST", body: "<xml/>" })).text()).toContain(`${md5OfMd5}-1`);
});

test("a blob that is no blob is refused", async () => {
  const { channel } = await member();
  for (const request of [{ contentLength: -1n }, { contentMd5: "AA==" }, { contentSha256Base64: "" }, { contentLength: 1n << 60n }]) {
    const announced = { ...announce(Buffer.from("x")), ...request };
    expect((await refusal(channel.unary(ModalClient.method.blobCreate, announced))).code).toBe(statusCode.invalidArgument);
  }
});

test("without a token, with a wrong one, or with too small a role nothing is done", async () => {
  const stranger = new Channel({ url });
  expect(await refusal(create(stranger, Buffer.from("x")))).toMatchObject({
    code: statusCode.unauthenticated,
    message: expect.stringContaining("MODAL_TOKEN_ID"),
  });
  const wrong = new Channel({ url, headers: { "x-modal-token-id": "ak-0", "x-modal-token-secret": "wrong" } });
  expect((await refusal(create(wrong, Buffer.from("x")))).code).toBe(statusCode.unauthenticated);
  const viewer = await member("viewer");
  expect((await refusal(create(viewer.channel, Buffer.from("x")))).code).toBe(statusCode.permissionDenied);
});

test("the same RPCs answer JSON over HTTP/1.1, with the same refusals", async () => {
  const refused = await post("BlobGet");
  expect([refused.status, (await errorOf(refused)).code]).toEqual([401, "unauthenticated"]);
  const { headers } = await member();
  const missing = await post("BlobGet", headers);
  expect([missing.status, await missing.json()]).toEqual([404, { code: "not_found", message: "Blob  not found." }]);
  const unknown = await post("DictGet", headers);
  expect([unknown.status, (await errorOf(unknown)).message]).toEqual([501, "no /modal.client.ModalClient/DictGet here"]);
});

test("a bug is INTERNAL with a request id, its text goes to the log only, and warnings travel with it", async () => {
  const { channel } = await member();
  let warning: string | undefined;
  const onTrailers = (trailers: Readonly<Record<string, string | undefined>>) => {
    warning = trailers["x-modal-warning"];
  };
  const error = await refusal(channel.unary(ModalClient.method.queueLen, {}, { onTrailers }));
  expect(error).toMatchObject({ code: statusCode.internal, message: expect.stringMatching(/^internal error, request [0-9a-f-]{36}$/) });
  expect(decodeURIComponent(warning ?? "")).toBe("half of it – ½");
  const entry = logged.find((each) => "requestId" in each && error.message.endsWith(String(each.requestId)));
  expect(String(entry && "err" in entry ? entry.err : "")).toContain("a secret of the inside");
});

test("health answers, and what is nothing says how to begin", async () => {
  expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: "ok" });
  const nothing = await fetch(`${url}/nothing`);
  expect([nothing.status, (await errorOf(nothing)).message]).toEqual([404, expect.stringContaining("MODAL_SERVER_URL")]);
});

test("agents get files of mounts with their token, nothing without, and nothing else with", async () => {
  const token = "worker-token-of-the-test";
  await database.owner.query("INSERT INTO worker_token (id, token_hash, created_at_ms) VALUES ($1, $2, 1)", [
    newId("token", deps),
    createHash("sha256").update(token).digest(),
  ]);
  await deps.objects.put("mount/ac-1/abc", Buffer.from("file"));
  await deps.objects.put("blob/bl-1", Buffer.from("private"));
  const get = (key: string, headers: Record<string, string>) => fetch(`${url}/internal/objects/${key}`, { headers });
  const withToken = { "x-squall-worker-token": token };
  expect(await (await get("mount/ac-1/abc", withToken)).text()).toBe("file");
  expect((await get("mount/ac-1/abc", {})).status).toBe(401);
  expect((await get("mount/ac-1/abc", { "x-squall-worker-token": "other" })).status).toBe(401);
  for (const key of ["blob/bl-1", "mount/%2e%2e/blob/bl-1", "mount/ac-1/none", "mount/"]) expect((await get(key, withToken)).status, key).toBe(404);
});

test("one byte at a time is recognised too, and garbage is dropped", async () => {
  const slow = net.connect(port, "127.0.0.1");
  slow.setNoDelay(true);
  const answer = new Promise<string>((resolve) => slow.once("data", (chunk) => resolve(String(chunk))));
  for (const character of "PUT /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n") {
    slow.write(character);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await answer).toContain("200 OK");
  slow.destroy();
  const garbage = net.connect(port, "127.0.0.1");
  garbage.write(Buffer.from([0x16, 0x03, 0x01, 0, 0, 0, 0, 0x0d, 0x0a, 0x0d, 0x0a]));
  await new Promise((resolve) => garbage.once("close", resolve).resume());
});

test("a caller that never ends the head of its request is dropped", async () => {
  const blobUrls = new BlobUrls(new Uint8Array(32));
  const impatient = new PublicDoor({ ...deps, table: new HandlerTable(), blobUrls, onFault: () => {}, health: () => ({}), headWithinMs: 200 });
  const server = net.createServer((socket) => void impatient.accept(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const slow = net.connect(typeof address === "object" && address ? address.port : 0, "127.0.0.1");
  slow.write("GET /healthz HTTP/1.1\r\nx-slow: ");
  expect(await text(slow)).toContain("408");
  server.close();
  await impatient.close(0);
});

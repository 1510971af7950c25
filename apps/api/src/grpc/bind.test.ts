import { create, fromBinary } from "@bufbuild/protobuf";
import { ServiceError } from "@squall/core/errors";
import { asId } from "@squall/core/ids";
import { type CallInfo, GrpcError, statusCode } from "@squall/grpc/handler";
import { AppGetLogsRequestSchema, ModalClient, QueueLenRequestSchema, RPCRetryPolicySchema } from "@squall/protocol/modal";
import { parseAccess } from "@squall/services/authorize";
import type { ServiceContext, ServiceDeps } from "@squall/services/context";
import { expect, test } from "vitest";
import { toGrpcError } from "../errors.ts";
import type { Peer } from "../peer.ts";
import { type Procedures, procedure, publicProcedure } from "../procedure.ts";
import { bindProcedures, type Gate } from "./bind.ts";

const logged: object[] = [];
const log = { debug: () => {}, info: () => {}, warn: () => {}, error: (fields: object) => void logged.push(fields) };
const workspace = { id: asId("workspace", "ac-0000000000000000000000"), name: "main" };
const actor = { kind: "user", userId: asId("user", "us-0000000000000000000000"), tokenId: undefined, role: "viewer" } as const;
const container = {
  kind: "container",
  containerId: asId("container", "ta-0000000000000000000000"),
  functionId: asId("function", "fu-0000000000000000000000"),
  appId: asId("app", "ap-0000000000000000000000"),
} as const;
const workerId = asId("worker", "wo-0000000000000000000000");

const gate: Gate = {
  deps: { log } as unknown as ServiceDeps,
  authenticateToken: async (tokenId, secret) => (tokenId === "ak-1" && secret === "as-1" ? { actor, workspace } : undefined),
  authenticateContainer: async (id, worker) => (id === container.containerId && worker === workerId ? { actor: container, workspace } : undefined),
  authorize: (_ctx, access) => {
    if (access.action !== "read") throw new ServiceError("permissionDenied", "no");
  },
};

function infoOf({
  headers = { "x-modal-token-id": "ak-1", "x-modal-token-secret": "as-1" },
  peer = { kind: "public", remoteAddress: "x" },
}: {
  headers?: Record<string, string>;
  peer?: Peer;
} = {}) {
  const trailers: Record<string, string> = {};
  const setTrailer = (name: string, value: string) => {
    trailers[name] = value;
  };
  const info: CallInfo = { path: "/x", headers, peer, signal: new AbortController().signal, timeoutMs: () => undefined, setTrailer, setHeader: () => {} };
  return { info, trailers };
}

async function codeOf(call: Promise<unknown> | undefined): Promise<number> {
  const error = await (call ?? Promise.resolve()).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof GrpcError ? error.code : 0;
}

const request = create(QueueLenRequestSchema);

test("a handler that was not made by procedure() keeps the api from booting", () => {
  const raw = { queueLen: async () => ({ len: 1 }) } as unknown as Procedures<typeof ModalClient>;
  expect(() => bindProcedures(ModalClient, raw, gate)).toThrow("queueLen was not made by procedure()");
  const forged = { queueLen: { access: undefined, run: async () => ({ len: 1 }) } } as unknown as Procedures<typeof ModalClient>;
  expect(() => bindProcedures(ModalClient, forged, gate)).toThrow("was not made by procedure()");
  const unknown = { noSuchRpc: procedure({ resource: "app", action: "read" }, async () => ({})) } as unknown as Procedures<typeof ModalClient>;
  expect(() => bindProcedures(ModalClient, unknown, gate)).toThrow("has no method noSuchRpc");
  expect(() => parseAccess({ resource: "everything", action: "read" })).toThrow();
});

test("nothing runs before the caller is known and allowed", async () => {
  const ran: string[] = [];
  const bound = bindProcedures(
    ModalClient,
    {
      queueLen: procedure({ resource: "app", action: "read" }, async () => {
        ran.push("read");
        return { len: 1 };
      }),
      queuePut: procedure({ resource: "app", action: "write" }, async () => {
        ran.push("write");
        return {};
      }),
      appGetLogs: procedure({ resource: "app", action: "write" }, async function* () {
        ran.push("stream");
        yield {};
      }),
    },
    gate,
  );
  const token = (id: string, secret: string) => infoOf({ headers: { "x-modal-token-id": id, "x-modal-token-secret": secret } }).info;
  for (const info of [infoOf({ headers: {} }).info, token("ak-1", "as-2"), token("ak-2", "as-1"), token("ak-1", "")]) {
    expect(await codeOf(bound.queueLen?.(request, info))).toBe(statusCode.unauthenticated);
  }
  expect(await codeOf(bound.queuePut?.(create(ModalClient.method.queuePut.input), infoOf().info))).toBe(statusCode.permissionDenied);
  const stream = bound.appGetLogs?.(create(AppGetLogsRequestSchema), infoOf().info)[Symbol.asyncIterator]();
  expect(await codeOf(stream?.next())).toBe(statusCode.permissionDenied);
  expect(ran).toEqual([]);
  expect(await bound.queueLen?.(request, infoOf().info)).toEqual({ len: 1 });
});

test("a container is who its worker says, and its headers say nothing", async () => {
  let seen: ServiceContext | undefined;
  const bound = bindProcedures(
    ModalClient,
    {
      queueLen: procedure({ resource: "app", action: "read" }, async (_, { ctx }) => {
        seen = ctx;
        return { len: 1 };
      }),
    },
    gate,
  );
  const peer = { kind: "container", containerId: container.containerId, workerId, blobBaseUrl: "" } as const;
  const headers = { "x-modal-token-id": "ak-1", "x-modal-token-secret": "as-1", "x-idempotency-key": "k", "x-modal-client-version": "1.6.4" };
  await bound.queueLen?.(request, infoOf({ peer, headers }).info);
  expect(seen).toMatchObject({ actor: container, idempotencyKey: "k", clientVersion: "1.6.4" });
  const elsewhere = { ...peer, workerId: asId("worker", "wo-0000000000000000000001") };
  expect(await codeOf(bound.queueLen?.(request, infoOf({ peer: elsewhere, headers }).info))).toBe(statusCode.unauthenticated);
});

test("a public procedure needs no credentials", async () => {
  const bound = bindProcedures(ModalClient, { queueLen: publicProcedure(async () => ({ len: 2 })) }, gate);
  expect(await bound.queueLen?.(request, infoOf({ headers: {} }).info)).toEqual({ len: 2 });
});

test("several warnings travel in one trailer, readable by the client", async () => {
  const warned = procedure({ resource: "app", action: "read" }, async (_: unknown, { warn }) => {
    warn("ä first");
    warn("second");
    return { len: 1 };
  });
  const { info, trailers } = infoOf();
  await bindProcedures(ModalClient, { queueLen: warned }, gate).queueLen?.(request, info);
  expect(decodeURIComponent(trailers["x-modal-warning"] ?? "")).toBe("ä first\nsecond");
});

test("a refusal that says when to come back carries the policy that clients sleep by", () => {
  const error = toGrpcError(new ServiceError("resourceExhausted", "slow down", { retryAfterMs: 250 }), "r");
  expect(error.code).toBe(statusCode.resourceExhausted);
  const [detail] = error.details;
  expect(detail?.typeName).toBe("modal.client.RPCRetryPolicy");
  expect(fromBinary(RPCRetryPolicySchema, detail?.value ?? new Uint8Array()).retryAfterSecs).toBe(0.25);
});

test("faults are logged with the request's id, refusals are not", async () => {
  const bound = bindProcedures(
    ModalClient,
    {
      queueLen: procedure({ resource: "app", action: "read" }, async () => {
        throw new ServiceError("notFound", "Queue not found.");
      }),
      queueNextItems: procedure({ resource: "app", action: "read" }, async () => {
        throw new TypeError("inside");
      }),
    },
    gate,
  );
  logged.length = 0;
  expect(await codeOf(bound.queueLen?.(request, infoOf().info))).toBe(statusCode.notFound);
  expect(logged).toEqual([]);
  expect(await codeOf(bound.queueNextItems?.(create(ModalClient.method.queueNextItems.input), infoOf().info))).toBe(statusCode.internal);
  expect(logged).toMatchObject([{ rpc: "/x", requestId: expect.any(String), err: expect.any(TypeError) }]);
});

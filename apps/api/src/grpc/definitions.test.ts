import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type DescMethodUnary, fromBinary, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { seededRandom } from "@squall/core/random";
import { type CallInfo, GrpcError, statusCode } from "@squall/grpc/handler";
import { HandlerTable } from "@squall/grpc/handler-table";
import { invoke } from "@squall/grpc/invoke";
import { openLocalDirectory } from "@squall/objects/local-directory";
import { AppState, DataFormat, DeploymentNamespace, Function_FunctionType, FunctionSchema$, ModalClient, ObjectCreationType } from "@squall/protocol/modal";
import { authorizeAccess, roleCells } from "@squall/services/authorize";
import type { Role, ServiceDeps } from "@squall/services/context";
import { KeyRing } from "@squall/services/secret/key-ring";
import { TestClock } from "@squall/testkit/test-clock";
import { type TestDatabase, testDatabase } from "@squall/testkit/test-database";
import { type TestWorkspace, testWorkspace } from "@squall/testkit/test-workspace";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { appDefinitionProcedures } from "./app-definition.ts";
import { authProcedures } from "./auth.ts";
import { bindProcedures } from "./bind.ts";
import { environmentProcedures } from "./environment.ts";
import { functionProcedures } from "./function.ts";
import { imageProcedures } from "./image.ts";
import { mountProcedures } from "./mount.ts";
import { secretProcedures } from "./secret.ts";

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const roles: readonly Role[] = ["owner", "manager", "member", "viewer"];

let folder: string;
let database: TestDatabase;
let workspace: TestWorkspace;
let table: HandlerTable;
const warnings: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "squall-definitions-"));
  database = await testDatabase();
  workspace = await testWorkspace(database);
  const clock = new TestClock();
  const keys = new KeyRing(randomBytes(32));
  const objects = await openLocalDirectory(folder);
  const deps: ServiceDeps = { db: database.db, objects, keys, clock, random: seededRandom(1), log: silent };
  const doorDeps = { clock, publicUrl: "http://squall.test", signingKey: () => randomBytes(32) };
  const gate = {
    deps,
    // The token's id is the role; one that is none is unknown.
    authenticateToken: async (tokenId: string) => {
      const role = roles.find((each) => each === tokenId);
      return role && { actor: { kind: "user" as const, userId: workspace.userId, tokenId: undefined, role }, workspace };
    },
    authenticateContainer: async () => undefined,
    authorize: authorizeAccess,
  };
  table = new HandlerTable().add(ModalClient, bindProcedures(ModalClient, procedures(doorDeps), gate));
});
afterAll(async () => {
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

function procedures(deps: Parameters<typeof appDefinitionProcedures>[0] & Parameters<typeof authProcedures>[0]) {
  return {
    ...authProcedures(deps),
    ...environmentProcedures(),
    ...secretProcedures(),
    ...mountProcedures(deps),
    ...imageProcedures(),
    ...functionProcedures(),
    ...appDefinitionProcedures(deps),
  };
}

/** One RPC over the bytes of its messages, as a user of this role. */
async function rpc<Method extends DescMethodUnary>(
  method: Method,
  request: MessageInitShape<Method["input"]>,
  tokenId = "owner",
): Promise<MessageShape<Method["output"]>> {
  const entry = table.find(`/modal.client.ModalClient/${method.name}`);
  if (!entry) throw new Error(`${method.name} is not served`);
  const bytes = toBinary(method.input, create(method.input, request));
  const headers = { "x-modal-token-id": tokenId, "x-modal-token-secret": "as", "x-modal-client-version": "1.6.4" };
  const requests = (async function* () {
    yield bytes;
  })();
  for await (const answer of invoke(entry, requests, infoOf(headers))) return asAnswer<Method>(fromBinary(method.output, answer));
  throw new Error(`${method.name} answered nothing`);
}

// The message was read by the method's own description; the generic type does not follow.
function asAnswer<Method extends DescMethodUnary>(answer: unknown): MessageShape<Method["output"]> {
  return answer as MessageShape<Method["output"]>;
}

function infoOf(headers: CallInfo["headers"]): CallInfo {
  return {
    path: "",
    headers,
    peer: { kind: "public", remoteAddress: "" },
    signal: new AbortController().signal,
    timeoutMs: () => undefined,
    setTrailer: (name, value) => void (name === "x-modal-warning" && warnings.push(decodeURIComponent(value))),
    setHeader: () => undefined,
  };
}

type FunctionPart = Omit<MessageInitShape<typeof FunctionSchema$>, "$typeName" | "$unknown">;

const client = ModalClient.method;
const source = Buffer.from("def f(): pass\n");
const debianSlim = [
  "FROM python:3.11.12-slim-bookworm",
  "RUN apt-get update",
  "RUN apt-get install -y gcc gfortran build-essential",
  "RUN pip install --upgrade pip wheel uv",
  "RUN echo 'debconf debconf/frontend select Noninteractive' | debconf-set-selections",
  'CMD ["sleep", "172800"]',
];

async function startRun(): Promise<string> {
  const { appId, appPageUrl } = await rpc(client.appCreate, { description: "app.py", appState: AppState.EPHEMERAL });
  expect(appPageUrl).toBe(`http://squall.test/apps/${appId}`);
  return appId;
}

describe("the steps of `modal run`", () => {
  test("the environment names an image builder that clients accept", async () => {
    const { environmentId, metadata } = await rpc(client.environmentGetOrCreate, {});
    expect(environmentId).toBe(workspace.environmentId);
    expect(metadata).toMatchObject({ name: "main", settings: { imageBuilderVersion: "2025.06" } });
  });

  test("a function keeps its early id, gets its data back with a ranked function, and keeps fields that we do not know", async () => {
    const appId = await startRun();
    const early = await rpc(client.functionPrecreate, { appId, functionName: "f", supportedInputFormats: [DataFormat.PICKLE, DataFormat.CBOR] });
    const sha256Hex = createHash("sha256").update(source).digest("hex");
    expect((await rpc(client.mountBatchedCheckExistence, { sha256HexHashes: [sha256Hex] })).missingSha256HexHashes).toEqual([sha256Hex]);
    expect((await rpc(client.mountPutFile, { sha256Hex, dataOneof: { case: "data", value: source } })).exists).toBe(true);
    const files = [{ filename: "/root/app.py", sha256Hex, mode: 0o644 }];
    const objectCreationType = ObjectCreationType.ANONYMOUS_OWNED_BY_APP;
    const { mountId } = await rpc(client.mountGetOrCreate, { objectCreationType, appId, files });
    const global = { deploymentName: "modal-client-mount-1.6.4", namespace: DeploymentNamespace.GLOBAL };
    const clientMounts = await Promise.all(Array.from({ length: 12 }, () => rpc(client.mountGetOrCreate, global)));
    expect(new Set(clientMounts.map((mount) => mount.mountId)).size).toBe(1);
    const { imageId } = await rpc(client.imageGetOrCreate, { appId, image: { dockerfileCommands: debianSlim }, builderVersion: "2025.06" });
    const { secretId, metadata } = await rpc(client.secretGetOrCreate, { objectCreationType, appId, envDict: { A: "1" } });
    expect(metadata?.keys).toEqual(["A"]);

    const sent = create(FunctionSchema$, {
      functionName: "f",
      functionType: Function_FunctionType.FUNCTION,
      mountIds: [clientMounts[0]?.mountId ?? "", mountId],
      imageId,
      secretIds: [secretId],
      objectDependencies: [{ objectId: secretId }, { objectId: imageId }],
    });
    sent.$unknown = [{ no: 9999, wireType: 2, data: Uint8Array.of(2, 104, 105) }];
    const created = await rpc(client.functionCreate, { appId, existingFunctionId: early.functionId, function: sent });
    expect(created.functionId).toBe(early.functionId);
    expect(created.functionData?.rankedFunctions[0]?.function?.$unknown).toEqual(sent.$unknown);
    expect(created.handleMetadata).toMatchObject({ functionName: "f", appId });
    await rpc(client.appPublish, { appId, appState: AppState.EPHEMERAL, functionIds: { f: created.functionId } });
    const { appLayout } = await rpc(client.appGetLayout, { appId });
    expect(appLayout?.functionIds).toEqual({ f: created.functionId });
    expect(appLayout?.objects.map(({ objectId }) => objectId).sort()).toEqual([created.functionId, imageId, secretId].sort());
  });

  test("a class answers how each of its methods is called, and its container finds both names", async () => {
    const appId = await startRun();
    const method = { functionName: "C.m", functionType: Function_FunctionType.FUNCTION, supportedInputFormats: [DataFormat.CBOR] };
    const service = { functionName: "C.*", isClass: true, methodDefinitions: { m: method }, methodDefinitionsSet: true };
    const { functionId, handleMetadata } = await rpc(client.functionCreate, { appId, function: service });
    expect(handleMetadata?.methodHandleMetadata["m"]).toMatchObject({ functionName: "C.m", isMethod: true, useMethodName: "m", appId });
    const { classId } = await rpc(client.classCreate, { appId, onlyClassFunction: true });
    await rpc(client.appPublish, { appId, functionIds: { "C.*": functionId }, classIds: { C: classId } });
    const { appLayout } = await rpc(client.appGetLayout, { appId });
    expect(appLayout).toMatchObject({ functionIds: { "C.*": functionId }, classIds: { C: classId } });
    expect(appLayout?.objects.map(({ objectId }) => objectId).sort()).toEqual([functionId, classId].sort());
  });

  test("what is honoured only in part says so; what is not yet possible is refused by its name", async () => {
    const appId = await startRun();
    warnings.length = 0;
    const every = { scheduleOneof: { case: "cron" as const, value: { cronString: "* * * * *" } } };
    await rpc(client.functionCreate, { appId, function: { functionName: "tick", schedule: every } });
    expect(warnings.join()).toMatch(/Function 'tick' has a schedule/);
    const dockerfileCommands = ["FROM python:3.11-slim-bookworm", "RUN pip install torch"];
    await expect(rpc(client.imageGetOrCreate, { appId, image: { dockerfileCommands }, builderVersion: "2025.06" })).rejects.toMatchObject({
      code: statusCode.failedPrecondition,
      message: expect.stringContaining("RUN pip install torch"),
    });
    const volumeMounts = [{ volumeId: "vo-0000000000000000000000", mountPath: "/data" }];
    await expect(rpc(client.functionCreate, { appId, function: { functionName: "f", volumeMounts } })).rejects.toThrow(/volumes come with a later version/);
  });

  test.each([
    { timeoutSecs: 4_000_000_000 },
    { resources: { milliCpu: 4_000_000_000 } },
    { resources: { memoryMb: 4_000_000_000 } },
    { resources: { gpuConfig: { gpuType: "A100", count: 4_000_000_000 } } },
    { resources: { gpuConfig: { gpuType: "A100; rm" } } },
    { autoscalerSettings: { scaledownWindow: 4_000_000_000 } },
    { autoscalerSettings: { minContainers: 4_000_000_000 } },
    { maxConcurrentInputs: 4_000_000_000 },
    { batchLingerMs: 2n ** 60n },
    { retryPolicy: { retries: 4_000_000_000 } },
    { retryPolicy: { backoffCoefficient: Number.NaN } },
  ])("a number that no machine has is the caller's fault: %o", async (part: FunctionPart) => {
    const appId = await startRun();
    const refused = rpc(client.functionCreate, { appId, function: create(FunctionSchema$, { functionName: "f", ...part }) });
    await expect(refused).rejects.toMatchObject({ code: statusCode.invalidArgument });
  });
});

describe("secrets", () => {
  const named = { deploymentName: "db", envDict: { PASSWORD: "hunter2" } };

  test("metadata holds everything that clients print, and nothing holds the value", async () => {
    await rpc(client.secretGetOrCreate, { ...named, objectCreationType: ObjectCreationType.CREATE_FAIL_IF_EXISTS });
    const looked = await rpc(client.secretGetOrCreate, { deploymentName: "db", requiredKeys: ["PASSWORD"] });
    expect(looked.metadata).toMatchObject({ name: "db", keys: ["PASSWORD"], environmentName: "main", creationInfo: { createdBy: "owner" } });
    const { items } = await rpc(client.secretList, { pagination: { maxObjects: 100 } });
    expect(items).toMatchObject([{ label: "db", secretId: looked.secretId, metadata: { name: "db" } }]);
    const { metadata } = await rpc(client.secretGetInfo, { secretId: looked.secretId });
    expect(JSON.stringify([looked, items, metadata])).not.toContain("hunter2");
    await expect(rpc(client.secretGetOrCreate, { deploymentName: "db", requiredKeys: ["z"] })).rejects.toThrow("Secret is missing key(s): z");
  });

  test("a viewer looks up and does not make, though both are one RPC", async () => {
    await expect(rpc(client.secretGetOrCreate, { ...named, objectCreationType: ObjectCreationType.CREATE_IF_MISSING }, "viewer")).rejects.toMatchObject({
      code: statusCode.permissionDenied,
    });
  });
});

describe("who may", () => {
  test("without a token that holds, every RPC is refused as unauthenticated", async () => {
    for (const method of unaryMethods()) {
      const refused = await rpc(method, {}, "nobody").catch((error: unknown) => error);
      expect(refused, method.name).toMatchObject({ code: statusCode.unauthenticated });
    }
  });

  test("every RPC is refused to exactly the roles that the table does not name", async () => {
    const allowed = new Map(roleCells().map(({ resource, action, who }) => [`${resource}.${action}`, who]));
    const declared: Readonly<Record<string, { readonly access: { readonly resource: string; readonly action: string } | undefined }>> = procedures({
      clock: new TestClock(),
      publicUrl: "",
      signingKey: () => new Uint8Array(32),
    });
    for (const method of unaryMethods()) {
      const access = declared[method.localName]?.access;
      for (const role of roles) {
        const failure = await rpc(method, {}, role).then(
          () => undefined,
          (error: unknown) => error,
        );
        const isDenied = failure instanceof GrpcError && failure.code === statusCode.permissionDenied;
        expect(isDenied, `${method.name} as ${role}`).toBe(!allowed.get(`${access?.resource}.${access?.action}`)?.includes(role));
        expect(failure instanceof GrpcError ? failure.code : statusCode.ok, `${method.name} as ${role}: ${failure}`).not.toBe(statusCode.internal);
      }
    }
  });
});

function unaryMethods(): DescMethodUnary[] {
  const served = ModalClient.methods.filter((method) => table.find(`/modal.client.ModalClient/${method.name}`));
  return served.filter((method): method is DescMethodUnary & (typeof served)[number] => method.methodKind === "unary");
}

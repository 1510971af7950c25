/** For tests: dispatcher, cluster and gateway on a real database, served on a real socket, without the rest of the api. */
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { create, toBinary } from "@bufbuild/protobuf";
import { type Id, newId } from "@squall/core/ids";
import { Channel } from "@squall/grpc/client";
import { HandlerTable } from "@squall/grpc/handler-table";
import { GrpcServer } from "@squall/grpc/server";
import { openLocalDirectory } from "@squall/objects/local-directory";
import { AgentLink } from "@squall/protocol/agent";
import { FunctionSchema$ } from "@squall/protocol/modal";
import type { ServiceContext, ServiceDeps } from "@squall/services/context";
import { awaitOutputs } from "@squall/services/function-call/await-outputs";
import { submitCall } from "@squall/services/function-call/submit";
import { KeyRing } from "@squall/services/secret/key-ring";
import { SimulatedWorker, type SimulatedWorkerOptions } from "@squall/testkit/simulated-worker";
import type { TestDatabase } from "@squall/testkit/test-database";
import { type TestWorkspace, testWorkspace } from "@squall/testkit/test-workspace";
import { type Dispatcher, startDispatcher } from "../src/agents/dispatch.ts";
import { type RunningCluster, startCluster } from "../src/agents/start-cluster.ts";

// A test that fails shows what the code under test complained of.
const complain = (text: string, about: unknown) => process.stderr.write(`${text} ${inspect(about)}\n`);
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: (fields: object, message: string) => complain(message, fields) };
export const clock = { now: () => Date.now(), monotonic: () => performance.now() };
const random = { int: (bound: number) => Math.floor(Math.random() * bound) };
export const workerToken = "sw-for-tests";

export interface FunctionOptions {
  readonly milliCpu?: number;
  readonly gpu?: { readonly type: string; readonly count: number };
  readonly maxContainers?: number;
  readonly minContainers?: number;
  readonly scaledownWindowMs?: number;
  readonly appState?: string;
}

export interface TestFunction {
  readonly workspace: TestWorkspace;
  readonly appId: Id<"app">;
  readonly functionId: Id<"function">;
}

export class ClusterStack {
  readonly deps: ServiceDeps;
  readonly dispatcher: Dispatcher;
  readonly running: RunningCluster;
  readonly systemLines: string[] = [];
  readonly endedApps: Id<"app">[] = [];
  readonly #parts: { readonly database: TestDatabase; readonly folder: string; readonly server: net.Server; readonly grpc: GrpcServer };
  readonly #channels: Channel[] = [];

  static async start(database: TestDatabase, leases: { workerLeaseMs?: number; callerLeaseMs?: number } = {}): Promise<ClusterStack> {
    const folder = await mkdtemp(join(tmpdir(), "sq-cluster-"));
    const objects = await openLocalDirectory(folder);
    const deps: ServiceDeps = { db: database.db, objects, keys: new KeyRing(new Uint8Array(32)), clock, random, log: silent };
    await database.owner.query("INSERT INTO worker_token (id, token_hash, created_at_ms) VALUES ($1, $2, 1) ON CONFLICT DO NOTHING", [
      newId("token", deps),
      createHash("sha256").update(workerToken).digest(),
    ]);
    let running: RunningCluster | undefined;
    const agents = () => running?.gateway ?? { sendInputs: () => false, cancelInputs: () => false };
    const dispatcher = await startDispatcher({ deps, agents, owner: "test" });
    const systemLines: string[] = [];
    const endedApps: Id<"app">[] = [];
    const logs = {
      appendSystemLine: (_app: Id<"app">, _fn: unknown, text: string) => void systemLines.push(text),
      appEnded: (appId: Id<"app">) => void endedApps.push(appId),
    };
    running = await startCluster({ deps, dispatch: dispatcher, logs, ...leases });
    const { gateway } = running;
    const table = new HandlerTable().add(AgentLink, { link: (messages, info) => gateway.link(messages, info) });
    const grpc = new GrpcServer({ table, onFault: ({ error }) => complain("fault", error) });
    const server = net.createServer((socket) => grpc.accept(socket, undefined));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new ClusterStack({ deps, dispatcher, running, systemLines, endedApps }, { database, folder, server, grpc });
  }

  private constructor(
    own: Pick<ClusterStack, "deps" | "dispatcher" | "running" | "systemLines" | "endedApps">,
    parts: { readonly database: TestDatabase; readonly folder: string; readonly server: net.Server; readonly grpc: GrpcServer },
  ) {
    this.deps = own.deps;
    this.dispatcher = own.dispatcher;
    this.running = own.running;
    this.systemLines = own.systemLines;
    this.endedApps = own.endedApps;
    this.#parts = parts;
  }

  worker(options: Partial<SimulatedWorkerOptions> = {}): SimulatedWorker {
    const open = () => {
      const address = this.#parts.server.address();
      const port = typeof address === "object" ? address?.port : undefined;
      const channel = new Channel({ url: `http://127.0.0.1:${port}` });
      this.#channels.push(channel);
      return channel.duplex(AgentLink.method.link);
    };
    return new SimulatedWorker({ open, token: workerToken, name: `w-${this.#channels.length}-${Math.random()}`, ...options });
  }

  async function(options: FunctionOptions = {}): Promise<TestFunction> {
    const { owner } = this.#parts.database;
    const workspace = await testWorkspace(this.#parts.database);
    const [appId, functionId, imageId] = [newId("app", this.deps), newId("function", this.deps), newId("image", this.deps)];
    await owner.query(
      `INSERT INTO image (id, workspace_id, content_key, definition, builder_version, state, image_key, created_at_ms) VALUES ($1, $2, $1, '', '2025.06', 'ready', 'base/x', 1)`,
      [imageId, workspace.id],
    );
    await owner.query(
      `INSERT INTO app (id, workspace_id, environment_id, description, state, function_ids, created_at_ms) VALUES ($1, $2, $3, 'test', $4, $5, 1)`,
      [appId, workspace.id, workspace.environmentId, options.appState ?? "ephemeral", JSON.stringify({ f: functionId })],
    );
    const definition = toBinary(FunctionSchema$, create(FunctionSchema$, { functionName: "f", moduleName: "m" }));
    await owner.query(
      `INSERT INTO function (id, workspace_id, environment_id, app_id, tag, state, definition, kind, image_id, mount_ids, secret_ids, milli_cpu, memory_bytes, gpu_type,
         gpu_count, timeout_ms, startup_timeout_ms, min_containers, max_containers, scaledown_window_ms, definition_id, client_version, builder_version, created_at_ms)
       VALUES ($1, $2, $3, $4, 'f', 'created', $5, 'function', $6, '{}', '{}', $7, 134217728, $8, $9, 300000, 300000, $10, $11, $12, 'de-1', '1.6.4', '2025.06', 1)`,
      [
        functionId,
        workspace.id,
        workspace.environmentId,
        appId,
        Buffer.from(definition),
        imageId,
        options.milliCpu ?? 100,
        options.gpu?.type ?? null,
        options.gpu?.count ?? 0,
        options.minContainers ?? 0,
        options.maxContainers ?? null,
        options.scaledownWindowMs ?? 60_000,
      ],
    );
    return { workspace, appId, functionId };
  }

  context(workspace: TestWorkspace): ServiceContext {
    const actor = { kind: "user", userId: workspace.userId, tokenId: undefined, role: "owner" } as const;
    return { actor, workspace, requestId: "rq", idempotencyKey: undefined, clientVersion: "1.6.4", deps: this.deps };
  }

  /** A call of the function with `inputs` inputs; answers its id. */
  async call({ workspace, functionId }: TestFunction, inputs = 1): Promise<string> {
    const payloads = Array.from({ length: inputs }, (_, idx) => ({ idx, payload: Uint8Array.of(1) }));
    const kind = inputs === 1 ? "unary" : "map";
    const input = { functionId, kind, invocation: 4, callerInputId: undefined, inputs: payloads } as const;
    const { callId } = await submitCall({ ctx: this.context(workspace), input, calls: this.dispatcher });
    return callId;
  }

  /** How many outputs the call has once there are `atLeast`. */
  async outputs({ workspace }: TestFunction, callId: string, atLeast = 1): Promise<number> {
    let total = 0;
    let afterSequence = 0;
    const deadline = performance.now() + 5_000;
    while (total < atLeast && performance.now() < deadline) {
      const input = { callId, afterSequence, timeoutMs: 1_000, range: undefined, maxValues: 0 };
      const answer = await awaitOutputs({ ctx: this.context(workspace), input, calls: this.dispatcher, signal: new AbortController().signal });
      total += answer.outputs.length;
      afterSequence = answer.lastSequence;
    }
    return total;
  }

  async rows(sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    return (await this.deps.db.engine.query<Record<string, unknown>>(sql, values)).rows;
  }

  /** Stops what was started and ends what the test left in the database. */
  async stop(): Promise<void> {
    const { database, folder, server, grpc } = this.#parts;
    await this.running.stop();
    for (const channel of this.#channels) channel.destroy();
    server.close();
    await grpc.close(100);
    await this.dispatcher.close();
    await database.owner.query("UPDATE container SET state = 'exited' WHERE state <> 'exited'");
    await database.owner.query("UPDATE input SET status = 1");
    await database.owner.query("UPDATE app SET state = 'stopped'");
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The control plane's end of the Links: one open stream per worker. Knows who is connected, checks what comes in, and passes it on in the order in which
 * it came: inputs and outputs to dispatch, states to the cluster. Acknowledges what dispatch has stored.
 */
import { create } from "@bufbuild/protobuf";
import type { Id } from "@squall/core/ids";
import { type CallInfo, GrpcError, statusCode } from "@squall/grpc/handler";
import { type AgentMessage, type ControlMessage, type Hello, InputSchema } from "@squall/protocol/agent";
import type { ContainerRecord } from "@squall/services/cluster/state";
import type { ServiceDeps } from "@squall/services/context";
import { recordUsage } from "@squall/services/usage/record";
import { authenticateWorker } from "@squall/services/worker/authenticate";
import { registerWorker } from "@squall/services/worker/register";
import type { Cluster, WorkerLinks } from "./cluster.ts";
import type { DesiredContainers } from "./desired-state.ts";
import { attemptFrom, describeWorker, idFrom, outputFrom, readingFrom } from "./from-agent.ts";
import { type ControlContent, LinkSession } from "./link-session.ts";
import type { AgentPort, AttemptKey, DispatchPort, InputDelivery } from "./ports.ts";

export const heartbeatIntervalMs = 5_000;
const helloPatienceMs = 10_000;
const maxNameLength = 128;
// One message that is larger than the transport takes would end the Link, and again after every reconnect.
const maxInputsMessageBytes = 32 << 20;

export interface GatewayOptions {
  readonly deps: Pick<ServiceDeps, "db" | "clock" | "random" | "log">;
  readonly cluster: Cluster;
  readonly dispatch: DispatchPort;
  readonly desired: DesiredContainers;
}

export class Gateway implements AgentPort, WorkerLinks {
  readonly #options: GatewayOptions;
  readonly #byWorker = new Map<Id<"worker">, LinkSession>();
  readonly #byName = new Map<string, LinkSession>();

  constructor(options: GatewayOptions) {
    this.#options = options;
  }

  get connectedWorkers(): number {
    return this.#byWorker.size;
  }

  /** The worker whose Link was welcomed with this session; undefined when that Link is over. For the bulk streams beside it. */
  sessionOf(session: string): { readonly workerId: Id<"worker"> } | undefined {
    return this.#byName.get(session);
  }

  /** Handler of `AgentLink.Link`. */
  async *link(messages: AsyncIterable<AgentMessage>, { signal }: Pick<CallInfo, "signal">): AsyncGenerator<ControlMessage> {
    const incoming = messages[Symbol.asyncIterator]();
    const hello = await firstMessage(incoming);
    const session = await this.#open(hello, signal);
    signal.addEventListener("abort", () => session.close(), { once: true });
    void this.#receiveAll(session, { incoming, hello });
    try {
      yield* session.messages();
    } finally {
      this.#close(session);
    }
  }

  // ---- AgentPort
  sendInputs(containerId: Id<"container">, requestId: bigint, inputs: readonly InputDelivery[]): boolean {
    const { cluster } = this.#options;
    const container = cluster.state.containers.get(containerId);
    if (container === undefined || container.stop !== undefined) return false;
    const messages = inMessages(inputs, maxInputsMessageBytes).map((some) => some.map(inputMessage));
    const sent = messages.every((some) => this.send(container.workerId, { case: "inputs", value: { containerId, requestId, inputs: some } }));
    if (sent)
      cluster.state.inputsGiven(
        containerId,
        inputs.map(({ attempt }) => attempt.inputId),
      );
    return sent;
  }

  cancelInputs(containerId: Id<"container">, attempts: readonly AttemptKey[], terminateContainer: boolean): boolean {
    const container = this.#options.cluster.state.containers.get(containerId);
    if (container === undefined) return false;
    return this.send(container.workerId, { case: "cancel", value: { containerId, attempts: attempts.map(attemptMessage), terminateContainer } });
  }

  // ---- WorkerLinks
  send(workerId: Id<"worker">, message: ControlContent): boolean {
    return this.#byWorker.get(workerId)?.send(message) ?? false;
  }

  start(workerId: Id<"worker">, containers: readonly ContainerRecord[]): void {
    this.#byWorker.get(workerId)?.sendDesired(
      async () => ({ full: false, containers: await this.#options.desired.read(containers), stops: [] }),
      (error) => this.#options.deps.log.error({ err: error, workerId }, "desired state could not be read"),
    );
  }

  /** Ends every Link; workers connect again by themselves. */
  close(): void {
    for (const session of this.#byWorker.values()) session.close(new GrpcError(statusCode.unavailable, "the control plane stops"));
  }

  // ---- a Link's life
  async #open(hello: Hello, signal: AbortSignal): Promise<LinkSession> {
    const { deps, cluster } = this.#options;
    const tokenHash = await authenticateWorker({ deps, token: hello.workerToken });
    if (tokenHash === undefined) {
      deps.log.warn({ worker: hello.workerName.slice(0, maxNameLength) }, "a worker with a wrong token was refused");
      throw new GrpcError(
        statusCode.unauthenticated,
        "The worker token is not one of this server. Give the agent the worker-token file of this server's SQUALL_HOME.",
      );
    }
    if (hello.workerName === "" || hello.workerName.length > maxNameLength)
      throw new GrpcError(statusCode.invalidArgument, "a worker needs a name of 1 to 128 characters");
    const description = { name: hello.workerName, tokenHash, agentVersion: hello.agentVersion, ...describeWorker(hello.inventory) };
    const worker = await registerWorker({ deps, input: description });
    // While the database was slow the worker may have dialled again: what this Hello says is old, and must not replace the newer Link.
    if (signal.aborted) throw new GrpcError(statusCode.cancelled, "the worker went away before it was welcomed");
    const session = new LinkSession(worker.workerId, (error) => deps.log.error({ err: error, workerId: worker.workerId }, "what a worker sent was not stored"));
    this.#byWorker.get(worker.workerId)?.close(new GrpcError(statusCode.aborted, "this worker has connected again"));
    this.#byWorker.set(worker.workerId, session);
    this.#byName.set(session.name, session);
    cluster.workerRegistered(worker, description);
    session.send({ case: "welcome", value: { workerId: worker.workerId, workerEpoch: BigInt(worker.epoch), session: session.name, heartbeatIntervalMs } });
    deps.log.info({ workerId: worker.workerId, worker: hello.workerName, containers: hello.containers.length }, "worker connected");
    return session;
  }

  #close(session: LinkSession): void {
    session.close();
    this.#byName.delete(session.name);
    if (this.#byWorker.get(session.workerId) !== session) return; // it was replaced
    this.#byWorker.delete(session.workerId);
    this.#options.cluster.workerDisconnected(session.workerId);
    this.#options.deps.log.info({ workerId: session.workerId }, "worker disconnected");
  }

  async #receiveAll(session: LinkSession, { incoming, hello }: { incoming: AsyncIterator<AgentMessage>; hello: Hello }): Promise<void> {
    try {
      this.#watch(session, this.#options.cluster.adopt(session.workerId, hello));
      this.#sendFullState(session);
      for (let next = await incoming.next(); !next.done && session.isOpen; next = await incoming.next()) {
        this.#options.cluster.heard(session.workerId);
        this.#receive(session, next.value);
        await session.room();
      }
      session.close();
    } catch (error) {
      if (!(error instanceof GrpcError)) this.#options.deps.log.error({ err: error, workerId: session.workerId }, "a Link broke");
      session.close(error instanceof GrpcError ? error : new GrpcError(statusCode.internal, "the Link broke; connect again"));
    }
  }

  /** Everything that should run there. Containers that the worker has reported are listed by name only: it does not read more of those. */
  #sendFullState(session: LinkSession): void {
    const { cluster, desired, deps } = this.#options;
    session.sendDesired(
      async () => {
        const all = cluster.state.containersOf(session.workerId);
        const stops = all.flatMap(({ containerId, stop }) => (stop === undefined ? [] : [{ containerId, graceful: stop.isGraceful, reason: stop.reason }]));
        return { full: true, containers: await desired.read(all), stops };
      },
      (error) => deps.log.error({ err: error, workerId: session.workerId }, "desired state could not be read"),
    );
  }

  #receive(session: LinkSession, { message }: AgentMessage): void {
    const { cluster, dispatch, deps } = this.#options;
    const { workerId } = session;
    const nowMs = deps.clock.monotonic();
    switch (message.case) {
      case "container":
        this.#watch(session, cluster.reported(workerId, message.value));
        return;
      case "inputRequest": {
        const containerId = idFrom("container", message.value.containerId);
        const container = cluster.state.containers.get(containerId);
        if (container?.workerId !== workerId) return;
        if (container.stop !== undefined) return;
        cluster.state.inputsAsked(containerId, message.value.slots, nowMs);
        dispatch.inputsRequested(containerId, container.functionId, message.value.slots, message.value.requestId);
        return;
      }
      case "outputs": {
        const outputs = message.value.outputs.map(outputFrom).filter((output) => cluster.state.isHolder(workerId, output.containerId));
        session.acknowledgeWhen(message.value.sequence, dispatch.outputsArrived(outputs));
        for (const { containerId, attempt } of outputs) cluster.state.inputEnded(containerId, attempt.inputId, nowMs);
        return;
      }
      case "dataChunks": {
        const { sequence, chunks } = message.value;
        const containerId = idFrom("container", message.value.containerId);
        const callId = idFrom("functionCall", message.value.functionCallId);
        const isHolder = cluster.state.isHolder(workerId, containerId);
        const stored = isHolder ? dispatch.dataChunksArrived(containerId, attemptFrom(message.value.attempt), callId, chunks) : Promise.resolve();
        session.acknowledgeWhen(sequence, stored);
        return;
      }
      case "initFailure": {
        const containerId = idFrom("container", message.value.containerId);
        const container = cluster.state.containers.get(containerId);
        const stored = container?.workerId === workerId ? dispatch.initFailed(containerId, container.functionId, message.value.result) : Promise.resolve();
        session.acknowledgeWhen(message.value.sequence, stored);
        return;
      }
      case "usage": {
        const { segments } = message.value;
        const stored = recordUsage({ deps, workerId, readings: segments.map(readingFrom) });
        const keys = segments.map(({ containerId, seq }) => ({ containerId, seq }));
        this.#watch(
          session,
          stored.then(() => void session.send({ case: "usageStored", value: { segments: keys } })),
        );
        return;
      }
      case "heartbeat":
        session.send({ case: "heartbeat", value: { sequence: message.value.sequence, nowMs: BigInt(deps.clock.now()) } });
        return;
      case "containerStop": {
        const container = cluster.state.containers.get(idFrom("container", message.value.containerId));
        if (container?.workerId === workerId) cluster.stop(container, { isGraceful: true, reason: "it asked to stop" });
        return;
      }
      case "hello":
        throw new GrpcError(statusCode.failedPrecondition, "Hello is the first message, once");
      case undefined:
        return; // a message of a newer agent
      default:
        message satisfies never;
    }
  }

  /** What cannot be stored ends the Link: the worker says it again on the next one. */
  #watch(session: LinkSession, work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      this.#options.deps.log.error({ err: error, workerId: session.workerId }, "a report was not stored");
      session.close(new GrpcError(statusCode.unavailable, "what this worker sent could not be stored; send it again"));
    });
  }
}

async function firstMessage(incoming: AsyncIterator<AgentMessage>): Promise<Hello> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(resolve, helloPatienceMs, undefined);
  const first = await Promise.race([incoming.next(), promise]).finally(() => clearTimeout(timer));
  if (first === undefined) throw new GrpcError(statusCode.deadlineExceeded, "a Link begins with Hello");
  if (first.done || first.value.message.case !== "hello") throw new GrpcError(statusCode.failedPrecondition, "a Link begins with Hello");
  return first.value.message.value;
}

/** The inputs in order, cut where a message would exceed `maxBytes`; a single larger one goes alone. */
export function inMessages<Each extends { readonly input: Uint8Array }>(inputs: readonly Each[], maxBytes: number): Each[][] {
  const messages: Each[][] = [];
  let roomBytes = 0;
  for (const each of inputs) {
    roomBytes -= each.input.length;
    if (roomBytes < 0 || messages.length === 0) {
      messages.push([]);
      roomBytes = maxBytes - each.input.length;
    }
    messages.at(-1)?.push(each);
  }
  return messages;
}

function attemptMessage({ inputId, epoch, counter }: AttemptKey) {
  return { inputId, epoch: BigInt(epoch), counter: BigInt(counter) };
}

function inputMessage({ attempt, functionCallId, input, invocationType, retryCount }: InputDelivery) {
  return create(InputSchema, { attempt: attemptMessage(attempt), functionCallId, input, invocationType, retryCount });
}

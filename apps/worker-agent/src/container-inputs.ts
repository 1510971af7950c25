/**
 * Everything about the inputs of one container: handing them out, their time-outs and cancellations, and the outputs that come back. This is the container
 * as its gateway sees it.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import type { Clock } from "@squall/core/clock";
import { type Attempt, type Input, OutputOrigin, OutputSchema } from "@squall/protocol/agent";
import { GenericResult_GenericStatus, GenericResultSchema } from "@squall/protocol/modal";
import { Cancellations } from "./container-gateway/cancellations.ts";
import { InputBroker, type RunningInput, sameAttempt } from "./container-gateway/input-broker.ts";
import type { GatewayContainer } from "./container-gateway/procedures.ts";
import { noteDelivered, noteFinished, rewriteHeldInputs } from "./container-state.ts";
import type { Outbox, OutboxItem } from "./outbox.ts";

export interface ContainerInputsOptions {
  readonly containerId: string;
  readonly dir: string;
  readonly maxConcurrentInputs: number;
  /** 0: an input may take as long as it likes. */
  readonly inputTimeoutMs: number;
  readonly held: readonly RunningInput[];
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly request: (slots: number, requestId: bigint) => void;
  readonly saidHello: () => void;
  readonly askedForInputs: () => void;
  readonly stopAsked: () => void;
  /** Inputs must end and only the container's end ends them. */
  readonly mustDie: (reason: "inputTimeout" | "cancelled") => void;
  /** An input was answered: there may be none left. */
  readonly becameIdle: () => void;
}

// After this a cancelled input that does not end takes its container with it (one input at a time only).
const cancelGraceMs = 10_000;
const maxTimerMs = 2 ** 31 - 1;
const finishedPerRewrite = 1_024; // some 150 KB of lines

export class ContainerInputs implements GatewayContainer {
  readonly broker: InputBroker;
  readonly #options: ContainerInputsOptions;
  readonly #cancellations = new Cancellations();
  #deadlineTimer: NodeJS.Timeout | undefined;
  readonly #graceTimers = new Set<NodeJS.Timeout>();
  #hasSaidHello = false;
  #hasInitFailure = false;
  #finishedInputs = 0;
  #isClosed = false;

  constructor(options: ContainerInputsOptions) {
    this.#options = options;
    this.broker = new InputBroker(
      {
        request: options.request,
        monotonicMs: () => options.clock.monotonic(),
        delivered: (inputs) => {
          noteDelivered(options.dir, inputs);
          this.#scheduleDeadline();
        },
      },
      options.held,
    );
    this.#scheduleDeadline();
  }

  get containerId(): string {
    return this.#options.containerId;
  }

  get maxConcurrentInputs(): number {
    return this.#options.maxConcurrentInputs;
  }

  async send(item: OutboxItem): Promise<void> {
    if (item.kind === "dataChunks") return await this.#options.outbox.addStored(item);
    await this.#options.outbox.add(item);
    if (item.kind !== "output" || !item.output.attempt) return;
    this.#finish(item.output.attempt.inputId);
  }

  /** Only the first counts: a container may say it as often as it likes. */
  saidHello(): void {
    if (!this.#hasSaidHello) this.#options.saidHello();
    this.#hasSaidHello = true;
  }

  askedForInputs(): void {
    this.#options.askedForInputs();
  }

  stopAsked(): void {
    this.#options.stopAsked();
  }

  nextCancellation(withinMs: number, signal: AbortSignal): Promise<readonly string[]> {
    return this.#cancellations.next(withinMs, signal);
  }

  answered(inputId: string): void {
    this.#cancellations.ended(inputId);
  }

  claimInitFailure(): boolean {
    const isFirst = !this.#hasInitFailure;
    this.#hasInitFailure = true;
    return isFirst;
  }

  offer(inputs: readonly Input[]): void {
    this.broker.offer(inputs);
  }

  /** What has not reached the container is answered as terminated here; the rest is for the container to end. */
  cancel(attempts: readonly Attempt[]): void {
    const inputs = this.broker.held().filter((input) => attempts.some((attempt) => sameAttempt(attempt, input.attempt)));
    for (const input of inputs.filter((each) => each.deliveredAtMs === undefined)) {
      this.#answer(input, { status: GenericResult_GenericStatus.TERMINATED, text: "The input was cancelled", origin: OutputOrigin.CONTAINER });
    }
    const running = inputs.filter((each) => each.deliveredAtMs !== undefined);
    this.#cancellations.add(running.map((input) => input.inputId));
    if (running.length === 0 || this.maxConcurrentInputs > 1) return;
    const timer = setTimeout(() => {
      this.#graceTimers.delete(timer);
      if (running.some((input) => this.broker.find(input.inputId, input.retryCount))) this.#options.mustDie("cancelled");
    }, cancelGraceMs);
    this.#graceTimers.add(timer);
  }

  /** No input is handed out from now on; the container ends when it asks again. */
  stop(): void {
    this.broker.stop();
  }

  /** The container has ended: no timer of it may fire any more. */
  close(): void {
    this.#isClosed = true;
    this.broker.stop();
    clearTimeout(this.#deadlineTimer);
    for (const timer of this.#graceTimers) clearTimeout(timer);
  }

  #finish(inputId: string): void {
    if (!this.broker.find(inputId, undefined)) return;
    this.broker.finish(inputId);
    if (this.#isClosed) return;
    const { dir } = this.#options;
    this.#finishedInputs++;
    if (this.#finishedInputs % finishedPerRewrite !== 0) noteFinished(dir, inputId);
    else
      rewriteHeldInputs(
        dir,
        this.broker.held().filter((input) => input.deliveredAtMs !== undefined),
      );
    if (this.broker.held().length === 0) this.#options.becameIdle();
  }

  #answer(input: RunningInput, { status, text, origin }: { status: GenericResult_GenericStatus; text: string; origin: OutputOrigin }): void {
    const now = BigInt(this.#options.clock.now());
    const output = create(OutputSchema, {
      containerId: this.containerId,
      attempt: input.attempt,
      result: toBinary(GenericResultSchema, create(GenericResultSchema, { status, exception: text })),
      startedAtMs: now,
      createdAtMs: now,
      origin,
    });
    this.#options.outbox.addNow({ kind: "output", containerId: this.containerId, output });
    this.#finish(input.inputId);
  }

  #scheduleDeadline(): void {
    const { inputTimeoutMs, clock } = this.#options;
    clearTimeout(this.#deadlineTimer);
    const started = this.broker.held().flatMap((input) => input.deliveredAtMs ?? []);
    if (inputTimeoutMs === 0 || started.length === 0) return;
    const waitMs = Math.min(maxTimerMs, Math.max(0, Math.min(...started) + inputTimeoutMs - clock.monotonic()));
    this.#deadlineTimer = setTimeout(() => this.#endExpired(), Math.ceil(waitMs));
  }

  #endExpired(): void {
    const { inputTimeoutMs, clock, mustDie } = this.#options;
    const now = clock.monotonic();
    const expired = this.broker.held().filter((input) => input.deliveredAtMs !== undefined && input.deliveredAtMs + inputTimeoutMs <= now);
    const text = `Input timed out after ${inputTimeoutMs / 1000} s`;
    for (const input of expired) this.#answer(input, { status: GenericResult_GenericStatus.TIMEOUT, text, origin: OutputOrigin.TIMEOUT });
    this.#scheduleDeadline();
    if (expired.length === 0) return;
    if (this.maxConcurrentInputs > 1) this.#cancellations.add(expired.map((input) => input.inputId));
    else mustDie("inputTimeout");
  }
}

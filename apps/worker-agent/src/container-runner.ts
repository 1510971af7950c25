/**
 * One container on this machine, from the wish to its end:
 *
 *     preparing ──hooks──▶ starting ──first FunctionGetInputs──▶ ready
 *         │                    │                                  │
 *         │ failed, stopped    ├──────────── stop ────────────────┤
 *         ▼                    ▼                                  ▼
 *       exited ◀──────────── process ended ◀────────────────── stopping
 *
 * A runner never rejects and never throws at its caller: whatever goes wrong ends in `exited` with a reason and a sentence.
 */
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import type { Clock } from "@squall/core/clock";
import {
  type ContainerReport,
  ContainerReportSchema,
  type DesiredContainer,
  type Exit,
  ExitReason,
  ExitSchema,
  ContainerState as WireState,
} from "@squall/protocol/agent";
import type { Logger } from "pino";
import { describeExit } from "./container-exit.ts";
import type { RunningInput } from "./container-gateway/input-broker.ts";
import { ContainerInputs } from "./container-inputs.ts";
import { type ContainerState, readHeldInputs, writeState } from "./container-state.ts";
import type { Cards } from "./hooks/devices.ts";
import { type ContainerHook, prepareAll, releaseAll, type StartPlan } from "./hooks/hook.ts";
import type { LogShipper } from "./logs.ts";
import { Meter } from "./meter.ts";
import type { Outbox } from "./outbox.ts";
import type { ContainerEnd, RuntimePort } from "./runtime-port.ts";
import type { StartGate } from "./start-gate.ts";
import type { MeterState, UsageJournal } from "./usage.ts";

export interface RunnerDeps {
  readonly runtime: RuntimePort;
  readonly hooks: readonly ContainerHook[];
  readonly outbox: Outbox;
  readonly logs: LogShipper;
  readonly journal: UsageJournal;
  readonly gate: StartGate;
  readonly cards: Cards;
  readonly clock: Clock;
  readonly log: Logger;
  /** Folder of the containers' folders. */
  readonly containersDir: string;
  /** A state was reached: tell the control plane. */
  readonly changed: (runner: ContainerRunner) => void;
  readonly request: (containerId: string, slots: number, requestId: bigint) => void;
  /** Something inside asked for a graceful stop. */
  readonly stopAsked: (containerId: string) => void;
  /** Whether the control plane hears us now. */
  readonly isConnected: () => boolean;
}

/** What of the wish a container that runs still needs; survives the agent in `state.json`. */
type Limits = Omit<ContainerState, "version" | "meter" | "startedAtMs" | "hasAskedForInputs" | "gpuUuids">;

type KillReason = "stopped" | "inputTimeout" | "cancelled" | "startupTimeout";

// A fork of an interpreter costs about one MiB: a fork bomb should meet this limit, which the user's code sees as an error, and not the memory's.
const memoryPerProcessBytes = 2 << 20;
const fewestProcesses = 512;
const mostProcesses = 4096;
const sharedMemoryBytes = 256 << 20;
const killAfterInterruptMs = 2_000;
const logPatienceMs = 60_000;
// Of the client bundle: starts modal._container_entrypoint.
const command = ["python", "-u", "-m", "_squall_start"];

export class ContainerRunner {
  readonly containerId: string;
  readonly inputs: ContainerInputs;
  /** Resolves when the container has ended and nothing of it is left on the machine. */
  readonly gone: Promise<void>;
  readonly #deps: RunnerDeps;
  readonly #limits: Limits;
  readonly #learntAtMs: number;
  readonly #phases: { name: string; atMs: number }[] = [];
  readonly #abort = new AbortController();
  readonly #log: Logger;
  #state: WireState;
  #exit: Exit | undefined;
  #isRunning = false;
  #hasAsked = false;
  #isDraining = false;
  #startedAtMs = 0;
  #killReason: KillReason | undefined;
  #stopReason = "";
  #leaveGate: (() => void) | undefined;
  #startupTimer: NodeJS.Timeout | undefined;
  #stopTimer: NodeJS.Timeout | undefined;
  #meter: Meter | undefined;
  #dropsLogs = false;

  private constructor(
    deps: RunnerDeps,
    limits: Limits,
    options: { state: WireState; held: readonly RunningInput[]; live: (runner: ContainerRunner) => Promise<void> },
  ) {
    this.#deps = deps;
    this.#limits = limits;
    this.containerId = limits.containerId;
    this.#state = options.state;
    this.#learntAtMs = deps.clock.monotonic();
    this.#log = deps.log.child({ container: limits.containerId });
    this.inputs = new ContainerInputs({
      containerId: this.containerId,
      dir: this.#dir,
      maxConcurrentInputs: limits.maxConcurrentInputs,
      inputTimeoutMs: Number(limits.inputTimeoutMs),
      held: options.held,
      outbox: deps.outbox,
      clock: deps.clock,
      request: (slots, requestId) => deps.request(this.containerId, slots, requestId),
      saidHello: () => this.#mark("hello"),
      askedForInputs: () => this.#becomeReady(),
      stopAsked: () => deps.stopAsked(this.containerId),
      mustDie: (reason) => this.#kill(reason),
      becameIdle: () => this.#whenIdle(),
    });
    this.gone = options.live(this);
  }

  /** Begins the life of a wanted container. */
  static start(deps: RunnerDeps, desired: DesiredContainer): ContainerRunner {
    const limits: Limits = {
      containerId: desired.containerId,
      generation: String(desired.generation),
      memoryBytes: String(desired.memoryBytes),
      milliCpu: desired.milliCpu,
      gpuType: desired.gpuType,
      gpuCount: desired.gpuCount,
      inputTimeoutMs: String(desired.inputTimeoutMs),
      startupTimeoutMs: desired.startupTimeoutMs,
      stopGraceMs: desired.stopGraceMs,
      maxConcurrentInputs: Math.max(1, desired.maxConcurrentInputs),
    };
    return new ContainerRunner(deps, limits, { state: WireState.PREPARING, held: [], live: (runner) => runner.#live(desired) });
  }

  /** Takes over a container that an earlier agent started and that lives, or ended meanwhile. */
  static adopt(deps: RunnerDeps, state: ContainerState): ContainerRunner {
    const held = readHeldInputs(join(deps.containersDir, state.containerId), deps.clock.monotonic());
    const wireState = state.hasAskedForInputs ? WireState.READY : WireState.STARTING;
    return new ContainerRunner(deps, state, { state: wireState, held, live: (runner) => runner.#liveOn(state) });
  }

  get isLive(): boolean {
    return this.#exit === undefined;
  }

  /**
   * What the control plane is told. While outputs of an ended container are still unacknowledged its end is not told: they must arrive first. They
   * count as running, so that nobody redelivers their inputs.
   */
  report({ withEnd }: { withEnd: boolean }): ContainerReport {
    const unacknowledged = this.#deps.outbox.unacknowledgedOutputs(this.containerId).flatMap((output) => output.attempt ?? []);
    const isEnded = this.#exit !== undefined;
    return create(ContainerReportSchema, {
      containerId: this.containerId,
      generation: BigInt(this.#limits.generation),
      state: isEnded && !withEnd ? WireState.STOPPING : this.#state,
      running: [...this.inputs.broker.held().map((input) => input.attempt), ...unacknowledged],
      ...(this.#exit && withEnd ? { exit: this.#exit } : {}),
      phases: this.#phases,
      waitingSlots: this.inputs.broker.openRequest()?.slots ?? 0,
      startedAtMs: BigInt(this.#startedAtMs),
    });
  }

  /** Graceful: kill switch, then SIGINT and SIGKILL once it is idle and its grace is over. Otherwise at once. */
  stop({ graceful, reason }: { graceful: boolean; reason: string }): void {
    if (!this.isLive) return;
    this.#stopReason ||= reason;
    if (!graceful || !this.#isRunning) {
      this.#kill("stopped");
      return;
    }
    if (this.#isDraining) return;
    this.#isDraining = true;
    this.#enter(WireState.STOPPING);
    this.inputs.stop();
    this.#whenIdle();
  }

  /** The agent itself ends: its log is not waited for. */
  abandonLogs(): void {
    this.#dropsLogs = true;
    if (this.#exit) this.#deps.logs.drop(this.containerId);
  }

  get #dir(): string {
    return join(this.#deps.containersDir, this.#limits.containerId);
  }

  async #live(desired: DesiredContainer): Promise<void> {
    this.#deps.changed(this);
    try {
      await this.#start(desired);
    } catch (error) {
      this.#log.warn({ err: error }, "container did not start");
      await this.#end(startFailure(error, this.#killReason, this.#deps.clock.now()));
      return;
    }
    await this.#follow({ nextSeq: 0, sinceMs: this.#startedAtMs, cpuNs: 0 });
  }

  async #liveOn(state: ContainerState): Promise<void> {
    this.#isRunning = true;
    this.#hasAsked = state.hasAskedForInputs;
    this.#startedAtMs = state.startedAtMs;
    this.#deps.cards.reclaim(this.containerId, state.gpuUuids);
    if (!this.#hasAsked) this.#awaitFirstRequest();
    await this.#follow(state.meter);
  }

  async #start(desired: DesiredContainer): Promise<void> {
    const { runtime, hooks, gate } = this.#deps;
    const plan: StartPlan = {
      desired,
      binds: [],
      environment: {},
      devices: [],
      lowers: [],
      uidBase: undefined,
      network: undefined,
      mark: (phase) => this.#mark(phase),
    };
    await prepareAll(hooks, plan, this.#abort.signal);
    if (plan.uidBase === undefined || !plan.network) throw new Error("the network hook did not run");
    this.#leaveGate = await gate.enter(this.#abort.signal);
    this.#mark("gate");
    const { startedAtMs } = await runtime.startContainer({
      containerId: this.containerId,
      uidBase: plan.uidBase,
      network: plan.network,
      hostname: this.containerId.slice(-12).toLowerCase(),
      args: command,
      env: plan.environment,
      cwd: "/root",
      binds: plan.binds,
      milliCpu: desired.milliCpu,
      memoryBytes: Number(desired.memoryBytes),
      pidsLimit: Math.min(mostProcesses, Math.max(fewestProcesses, Math.floor(Number(desired.memoryBytes) / memoryPerProcessBytes))),
      sharedMemoryBytes,
      devices: plan.devices,
    });
    this.#isRunning = true;
    this.#startedAtMs = Math.round(startedAtMs);
    this.#mark("started");
  }

  /** From a running process to its end and beyond. */
  async #follow(meterState: MeterState): Promise<void> {
    const { runtime, logs, clock } = this.#deps;
    this.#meter = new Meter(this.#meterOptions(), meterState);
    logs.follow(this.containerId);
    const ended = runtime.waitExit(this.containerId);
    await this.#keepState(meterState);
    if (this.#killReason) void this.#killNow();
    else if (this.#state === WireState.PREPARING) {
      this.#enter(WireState.STARTING);
      this.#awaitFirstRequest();
    }
    const end = await ended;
    await this.#settleUsage(end);
    const limits = { memoryBytes: Number(this.#limits.memoryBytes), startupTimeoutMs: this.#limits.startupTimeoutMs };
    await this.#end(
      describeExit({ end, killReason: this.#killReason, isStopping: this.#isDraining, stopReason: this.#stopReason, limits, nowMs: clock.now() }),
    );
  }

  async #end(exit: Omit<Exit, "$typeName" | "$unknown">): Promise<void> {
    clearTimeout(this.#startupTimer);
    clearTimeout(this.#stopTimer);
    this.#leaveGate?.();
    this.#isRunning = false;
    this.#exit = create(ExitSchema, exit);
    this.#state = WireState.EXITED;
    this.#mark("exited");
    this.inputs.close();
    this.#deps.changed(this);
    await this.#waitForLogs();
    for (const failure of await releaseAll(this.#deps.hooks, this.containerId)) this.#log.error({ err: failure }, "a part of the container is left behind");
    this.#log.info({ reason: exit.message, code: exit.code }, "container ended");
  }

  async #waitForLogs(): Promise<void> {
    const { logs, isConnected } = this.#deps;
    if (this.#dropsLogs) return logs.drop(this.containerId);
    const finished = logs.finish(this.containerId).then(() => true);
    for (;;) {
      const patience = Promise.withResolvers<false>();
      const timer = setTimeout(patience.resolve, logPatienceMs, false);
      const isFinished = await Promise.race([finished, patience.promise]);
      clearTimeout(timer);
      if (isFinished) return;
      if (isConnected()) break;
    }
    this.#log.warn({}, "the control plane did not acknowledge the end of the log");
    logs.drop(this.containerId);
  }

  #becomeReady(): void {
    if (this.#hasAsked) return;
    this.#hasAsked = true;
    clearTimeout(this.#startupTimer);
    this.#leaveGate?.();
    this.#mark("ready");
    if (!this.#isDraining) this.#enter(WireState.READY);
    if (this.#meter) void this.#keepState(this.#meter.state);
  }

  #awaitFirstRequest(): void {
    const { startupTimeoutMs } = this.#limits;
    if (startupTimeoutMs === 0) return;
    this.#startupTimer = setTimeout(() => this.#kill("startupTimeout"), startupTimeoutMs);
  }

  /** A draining container that runs nothing has its grace to run exit hooks in; one that runs something is given the time of its input. */
  #whenIdle(): void {
    if (!this.#isDraining || this.#stopTimer || this.inputs.broker.held().some((input) => input.deliveredAtMs !== undefined)) return;
    this.#stopTimer = setTimeout(() => {
      void this.#deps.runtime.signal(this.containerId, "SIGINT").catch((error: unknown) => this.#log.debug({ err: error }, "SIGINT"));
      this.#stopTimer = setTimeout(() => this.#kill("stopped"), killAfterInterruptMs);
    }, this.#limits.stopGraceMs);
  }

  #kill(reason: KillReason): void {
    if (!this.isLive) return;
    this.#killReason ??= reason;
    this.#abort.abort(new Error(`stopped before it ran: ${this.#stopReason || reason}`));
    this.inputs.stop();
    if (this.#isRunning) void this.#killNow();
  }

  async #killNow(): Promise<void> {
    this.#enter(WireState.STOPPING);
    await this.#deps.runtime.kill(this.containerId).catch((error: unknown) => this.#log.error({ err: error }, "could not kill the container"));
  }

  #enter(state: WireState): void {
    if (this.#exit || this.#state === state) return;
    this.#state = state;
    this.#deps.changed(this);
  }

  #mark(name: string): void {
    this.#phases.push({ name, atMs: this.#deps.clock.monotonic() - this.#learntAtMs });
  }

  #meterOptions() {
    const { runtime, journal, clock } = this.#deps;
    const { containerId, milliCpu, memoryBytes, gpuType, gpuCount } = this.#limits;
    return {
      containerId,
      reserved: { milliCpu, memoryBytes: BigInt(memoryBytes), gpuType, gpuCount },
      journal,
      read: () => runtime.usage(containerId),
      nowMs: () => clock.now(),
      moved: (state: MeterState) => this.#keepState(state),
      onError: (error: unknown) => this.#log.error({ err: error }, "usage could not be journaled"),
    };
  }

  async #settleUsage(end: ContainerEnd): Promise<void> {
    if (end.kind === "lost") this.#meter?.abandon();
    else await this.#meter?.finish(end, end.exitedAtMs);
  }

  async #keepState(meter: MeterState): Promise<void> {
    const gpuUuids = this.#deps.cards.held(this.containerId);
    const state = { ...this.#limits, version: 1 as const, startedAtMs: this.#startedAtMs, hasAskedForInputs: this.#hasAsked, gpuUuids, meter };
    await writeState(this.#dir, state).catch((error: unknown) => this.#log.error({ err: error }, "the container's state could not be kept"));
  }
}

function startFailure(error: unknown, killReason: KillReason | undefined, nowMs: number) {
  const reason = killReason === undefined ? ExitReason.START_FAILED : ExitReason.STOPPED;
  const message = error instanceof Error ? error.message : String(error);
  return { reason, code: 0, message, exitedAtMs: BigInt(nowMs), oomKills: 0n };
}

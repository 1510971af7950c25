/** The containers of this worker: applies what the control plane wants and passes what is meant for one of them. */
import { create } from "@bufbuild/protobuf";
import {
  type ContainerReport,
  ContainerReportSchema,
  ContainerState,
  type ControlMessage,
  type DesiredContainer,
  type DesiredState,
  ExitReason,
} from "@squall/protocol/agent";
import { ContainerRunner, type RunnerDeps } from "./container-runner.ts";
import type { ContainerState as KeptState } from "./container-state.ts";
import { reconcile } from "./reconcile.ts";

export interface ContainersOptions {
  readonly runnerDeps: RunnerDeps;
  readonly report: (report: ContainerReport) => void;
}

export class Containers {
  readonly #options: ContainersOptions;
  readonly #runners = new Map<string, ContainerRunner>();
  #cursor = 0n;
  #isClosing = false;

  constructor(options: ContainersOptions) {
    this.#options = options;
  }

  /** Cursor of the last applied state; 0 before the first. */
  get cursor(): bigint {
    return this.#cursor;
  }

  find(containerId: string): ContainerRunner | undefined {
    return this.#runners.get(containerId);
  }

  all(): ContainerRunner[] {
    return [...this.#runners.values()];
  }

  adopt(state: KeptState): ContainerRunner {
    return this.#keep(ContainerRunner.adopt(this.#options.runnerDeps, state));
  }

  receive(message: ControlMessage["message"]): void {
    if (message.case === "desired") this.#apply(message.value);
    if (message.case === "inputs") this.find(message.value.containerId)?.inputs.offer(message.value.inputs);
    if (message.case === "forget") for (const containerId of message.value.containerIds) this.#forget(containerId);
    if (message.case === "cancel") {
      const runner = this.find(message.value.containerId);
      if (message.value.terminateContainer) runner?.stop({ graceful: false, reason: "its input was cancelled" });
      else runner?.inputs.cancel(message.value.attempts);
    }
  }

  /** Ends everything at once; resolves when nothing is left of any container. */
  async stopAll(reason: string): Promise<void> {
    this.#isClosing = true;
    for (const runner of this.#runners.values()) runner.stop({ graceful: false, reason });
    await Promise.all(this.all().map((runner) => runner.gone));
  }

  #apply(desired: DesiredState): void {
    const observed = this.all().map(({ containerId, isLive }) => ({ containerId, isLive }));
    for (const action of reconcile(desired, observed)) {
      if (action.kind === "start") this.#start(action.container);
      if (action.kind === "stop") this.find(action.containerId)?.stop({ graceful: action.graceful, reason: action.reason });
      if (action.kind === "forget") this.#forget(action.containerId);
      if (action.kind === "reportLost") this.#options.report(lostReport(action.containerId, this.#options.runnerDeps.clock.now()));
    }
    this.#cursor = desired.cursor;
  }

  #start(desired: DesiredContainer): void {
    if (!this.#isClosing) this.#keep(ContainerRunner.start(this.#options.runnerDeps, desired));
  }

  #keep(runner: ContainerRunner): ContainerRunner {
    this.#runners.set(runner.containerId, runner);
    return runner;
  }

  /** Its end is stored: drops it now, or once nothing of it is left here. */
  #forget(containerId: string): void {
    const runner = this.find(containerId);
    if (runner && !runner.isLive) void runner.gone.then(() => this.#runners.delete(containerId));
  }
}

function lostReport(containerId: string, nowMs: number): ContainerReport {
  const message = "the worker knows nothing of this container";
  return create(ContainerReportSchema, { containerId, state: ContainerState.EXITED, exit: { reason: ExitReason.LOST, message, exitedAtMs: BigInt(nowMs) } });
}

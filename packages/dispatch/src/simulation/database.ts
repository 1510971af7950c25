/** Stands for PostgreSQL: each `apply` is one committed statement. It refuses what the real constraints refuse, and notes what must never be tried. */
import type { Id } from "@squall/core/ids";
import type { FunctionPolicy, LiveContainer, LoadedInput, SubmittedCall, SubmittedInput } from "../events.ts";
import type { PlantedBug } from "../planted-bug.ts";
import type { World } from "./world.ts";

export interface CallRow {
  readonly callId: Id<"functionCall">;
  readonly key: string;
  readonly policy: FunctionPolicy;
  isClosed: boolean;
  isCancelled: boolean;
}

export interface OutputRow {
  readonly inputId: Id<"input">;
  readonly callId: Id<"functionCall">;
  readonly idx: number;
  readonly sequence: number;
  readonly kind: string;
  readonly value: string;
  /** `epoch.counter` when a container made it. */
  readonly attempt: string | undefined;
}

export interface AttemptRow {
  readonly inputId: Id<"input">;
  readonly epoch: number;
  readonly counter: number;
  readonly outcome: string;
}

interface InputRow extends SubmittedInput {
  readonly callId: Id<"functionCall">;
  retryCount: number;
}

export interface ContainerRow extends LiveContainer {
  isLive: boolean;
  wasReported: boolean;
}

export class SimDatabase {
  epoch = 0;
  readonly calls = new Map<Id<"functionCall">, CallRow>();
  readonly callByKey = new Map<string, Id<"functionCall">>();
  readonly inputs = new Map<Id<"input">, InputRow>();
  readonly inputByIndex = new Map<string, Id<"input">>();
  readonly outputs = new Map<Id<"input">, OutputRow>();
  readonly outputsByCall = new Map<Id<"functionCall">, OutputRow[]>();
  readonly attempts = new Map<string, AttemptRow>();
  readonly containers = new Map<Id<"container">, ContainerRow>();
  readonly #world: World;
  readonly #plantedBug: PlantedBug | undefined;

  constructor(world: World, plantedBug: PlantedBug | undefined) {
    this.#world = world;
    this.#plantedBug = plantedBug;
  }

  /** The id of the call that has this key: the given one, or that of an earlier submission. */
  insertCall(row: CallRow): Id<"functionCall"> {
    const known = this.#plantedBug === "noIdempotency" ? undefined : this.callByKey.get(row.key);
    if (known !== undefined) return known;
    if (this.callByKey.has(row.key) && this.callByKey.get(row.key) !== row.callId) this.#world.violate(`two calls for key ${row.key}`);
    this.calls.set(row.callId, row);
    this.callByKey.set(row.key, row.callId);
    return row.callId;
  }

  /** Returns those of the inputs that are in, under their stored ids. */
  insertInputs(callId: Id<"functionCall">, inputs: readonly SubmittedInput[]): void {
    for (const input of inputs) {
      const index = `${callId} ${input.idx}`;
      if (this.inputByIndex.has(index)) continue;
      this.inputByIndex.set(index, input.inputId);
      this.inputs.set(input.inputId, { ...input, callId, retryCount: 0 });
    }
  }

  insertOutput(row: OutputRow): void {
    const known = this.outputs.get(row.inputId);
    if (known !== undefined) {
      if (known.value !== row.value || known.sequence !== row.sequence)
        this.#world.violate(`second result for ${row.inputId}: ${known.value} then ${row.value}`);
      return;
    }
    const ofCall = this.outputsByCall.get(row.callId) ?? [];
    if (ofCall.some((other) => other.sequence >= row.sequence)) this.#world.violate(`${row.callId}: entry ${row.sequence} after ${ofCall.at(-1)?.sequence}`);
    ofCall.push(row);
    this.outputsByCall.set(row.callId, ofCall);
    this.outputs.set(row.inputId, row);
    this.#world.counters.outputs++;
  }

  insertAttempt(row: AttemptRow, retryCount: number): void {
    this.attempts.set(`${row.inputId} ${row.epoch}.${row.counter}`, row);
    const input = this.inputs.get(row.inputId);
    if (input !== undefined) input.retryCount = Math.max(input.retryCount, retryCount);
  }

  attemptsOf(inputId: Id<"input">): AttemptRow[] {
    return [...this.attempts.values()].filter((row) => row.inputId === inputId);
  }

  submittedCall(row: CallRow): SubmittedCall {
    return {
      callId: row.callId,
      functionId: row.policy.functionId,
      appId: row.policy.appId,
      invocation: 4,
      isClosed: row.isClosed,
      isCancelled: row.isCancelled,
      nextSequence: (this.outputsByCall.get(row.callId)?.at(-1)?.sequence ?? 0) + 1,
    };
  }

  unfinishedInputs(): LoadedInput[] {
    const loaded: LoadedInput[] = [];
    for (const row of this.inputs.values()) {
      if (this.outputs.has(row.inputId)) continue;
      const attempts = this.attemptsOf(row.inputId);
      const last = attempts.reduce<AttemptRow | undefined>(
        (newest, each) => (newest === undefined || each.epoch > newest.epoch || (each.epoch === newest.epoch && each.counter > newest.counter) ? each : newest),
        undefined,
      );
      loaded.push({
        ...row,
        failures: attempts.filter((each) => each.outcome !== "lost").length,
        losses: attempts.filter((each) => each.outcome === "lost").length,
        lastEnded: last && { epoch: last.epoch, counter: last.counter },
      });
    }
    return loaded;
  }

  liveContainers(): ContainerRow[] {
    return [...this.containers.values()].filter((row) => row.isLive);
  }
}

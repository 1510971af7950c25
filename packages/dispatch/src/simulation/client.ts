/** A caller as stubborn as the real one: it repeats what was not answered, with the same key, and believes the first result it reads. */
import { asId, type Id } from "@squall/core/ids";
import type { SubmittedInput } from "../events.ts";
import type { SimApi } from "./api.ts";
import type { CallRow } from "./database.ts";
import type { SimFunction } from "./functions.ts";
import type { World } from "./world.ts";

export class SimClient {
  readonly results = new Map<number, string>();
  readonly fn: SimFunction;
  readonly inputCount: number;
  callId: Id<"functionCall"> | undefined;
  isAcceptedWhole = false;
  readonly #world: World;
  readonly #api: () => SimApi | undefined;
  readonly #name: string;
  readonly #isMap: boolean;
  #nextId = 0;
  #lastSequence = 0;

  constructor({ world, api, fn, name, inputCount }: { world: World; api: () => SimApi | undefined; fn: SimFunction; name: string; inputCount: number }) {
    this.#world = world;
    this.#api = api;
    this.#name = name;
    this.#isMap = inputCount > 1;
    this.fn = fn;
    this.inputCount = inputCount;
    world.after(world.between(0, world.healAtMs - 1000), () => this.#submit());
    if (world.chance(12)) world.after(world.between(100, world.healAtMs), () => this.#cancel());
  }

  get isDone(): boolean {
    return this.results.size === this.inputCount;
  }

  /** Asks until `answered`; each try may be lost on either way, or reach the api twice. */
  #ask(send: (api: SimApi, reply: () => boolean) => void, then: () => void): void {
    const world = this.#world;
    let isAnswered = false;
    const attempt = (): void => {
      if (isAnswered) return;
      const api = this.#api();
      const arrive = (): void => {
        if (api === undefined || api.isDead) return;
        send(api, () => {
          if (!world.isHealed && world.chance(8)) return false; // the answer is lost
          if (isAnswered) return true;
          isAnswered = true;
          world.after(1, then);
          return true;
        });
      };
      if (world.isHealed || !world.chance(5)) world.after(world.between(1, 5), arrive);
      if (world.chance(5)) world.after(world.between(1, 30), arrive);
      world.after(250, attempt);
    };
    attempt();
  }

  #inputs(from: number, to: number): SubmittedInput[] {
    const inputs: SubmittedInput[] = [];
    for (let idx = from; idx < to; idx++) inputs.push({ inputId: asId("input", this.#id("in")), idx, createdAtMs: this.#world.nowMs });
    return inputs;
  }

  #id(prefix: string): string {
    return `${prefix}-${this.#name}x${String(this.#nextId++).padStart(21 - this.#name.length, "0")}`;
  }

  #submit(): void {
    this.#ask(
      (api, reply) => {
        const call: CallRow = {
          callId: asId("functionCall", this.#id("fc")),
          key: this.#name,
          policy: this.fn.policy,
          isClosed: !this.#isMap,
          isCancelled: false,
        };
        const inputs = this.#isMap ? [] : this.#inputs(0, 1);
        api.submit({
          call,
          inputs,
          reply: (callId) => {
            if (!reply()) return;
            if (this.callId !== undefined && this.callId !== callId) this.#world.violate(`client ${this.#name} was told two calls`);
            this.callId ??= callId;
          },
        });
      },
      () => {
        this.#poll();
        if (this.#isMap) this.#putInputs(0);
        else this.isAcceptedWhole = true;
      },
    );
  }

  #putInputs(from: number): void {
    const { callId } = this;
    if (callId === undefined) return;
    if (from >= this.inputCount) {
      this.isAcceptedWhole = true;
      return;
    }
    const to = Math.min(this.inputCount, from + 7);
    this.#ask(
      (api, reply) => api.addInputs(callId, this.#inputs(from, to), reply),
      () => this.#putInputs(to),
    );
  }

  #cancel(): void {
    const { callId } = this;
    if (callId !== undefined)
      this.#ask(
        (api, reply) => api.cancel(callId, reply),
        () => {},
      );
  }

  #poll(): void {
    const { callId } = this;
    const api = this.#api();
    if (callId !== undefined && api !== undefined && !api.isDead) {
      const fromStart = this.#world.chance(20); // looks again at what it has
      for (const row of api.outputs(callId, fromStart ? 0 : this.#lastSequence)) {
        this.#lastSequence = Math.max(this.#lastSequence, row.sequence);
        const seen = this.results.get(row.idx);
        if (seen !== undefined && seen !== row.value) this.#world.violate(`client ${this.#name} input ${row.idx}: ${seen} became ${row.value}`);
        this.results.set(row.idx, row.value);
      }
    }
    if (!this.isDone) this.#world.after(this.#world.between(20, 60), () => this.#poll());
  }
}

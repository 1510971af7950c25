/**
 * The inputs of one container: what it waits for, what has arrived for it, what it is running.
 *
 * The container asks (`take`) and the broker asks the control plane (`request`); inputs that arrive wait in the buffer until they are taken, and count as
 * running from arrival on: an input is here either buffered or delivered, and leaves by `finish` only.
 */
import type { Attempt, Input } from "@squall/protocol/agent";

export interface RunningInput {
  readonly attempt: Attempt;
  readonly inputId: string;
  readonly functionCallId: string;
  readonly retryCount: number;
  /** Monotonic milliseconds when the container got it; undefined while it is buffered. */
  readonly deliveredAtMs: number | undefined;
}

export type Taken = { readonly kind: "inputs"; readonly inputs: readonly Input[] } | { readonly kind: "killSwitch" };

export interface TakeRequest {
  /** At most this many inputs are handed out, at least 1. */
  readonly maxInputs: number;
  /** Inputs that the container runs side by side. */
  readonly concurrency: number;
  /** How long to wait for a fuller batch once a first input is there. */
  readonly lingerMs: number;
  readonly signal: AbortSignal;
}

export interface InputBrokerPorts {
  /** Replaces the container's request at the control plane; `slots` 0 withdraws it. */
  request(slots: number, requestId: bigint): void;
  monotonicMs(): number;
  /** Inputs were handed to the container just now. */
  delivered(inputs: readonly RunningInput[]): void;
}

interface Waiter extends TakeRequest {
  readonly settle: (taken: Taken) => void;
  lingerTimer: NodeJS.Timeout | undefined;
}

export class InputBroker {
  readonly #ports: InputBrokerPorts;
  readonly #running = new Map<string, RunningInput>();
  #buffer: Input[] = [];
  #waiters: Waiter[] = [];
  #requestId = 0n;
  #requestedSlots = 0;
  #isStopping = false;

  constructor(ports: InputBrokerPorts, held: readonly RunningInput[] = []) {
    this.#ports = ports;
    for (const input of held) this.#running.set(input.inputId, input);
  }

  /** Waits as long as it takes for inputs, or for the kill switch. Rejects only when `signal` aborts (the container gave up). */
  take(request: TakeRequest): Promise<Taken> {
    if (this.#isStopping) return Promise.resolve({ kind: "killSwitch" });
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        ...request,
        lingerTimer: undefined,
        settle: (taken) => {
          request.signal.removeEventListener("abort", giveUp);
          clearTimeout(waiter.lingerTimer);
          this.#waiters = this.#waiters.filter((each) => each !== waiter);
          resolve(taken);
        },
      };
      const giveUp = () => {
        clearTimeout(waiter.lingerTimer);
        this.#waiters = this.#waiters.filter((each) => each !== waiter);
        this.#askForMore();
        reject(new Error("the container gave up waiting for inputs"));
      };
      if (request.signal.aborted) return giveUp();
      request.signal.addEventListener("abort", giveUp, { once: true });
      this.#waiters.push(waiter);
      this.#handOut();
      this.#askForMore();
    });
  }

  /** Inputs from the control plane; a repeated delivery of an attempt that is already here is dropped. */
  offer(inputs: readonly Input[]): void {
    for (const input of inputs) {
      const { attempt } = input;
      if (!attempt) continue;
      const known = this.#running.get(attempt.inputId);
      if (known && sameAttempt(known.attempt, attempt)) continue;
      this.#buffer = this.#buffer.filter((each) => each.attempt?.inputId !== attempt.inputId);
      this.#running.set(attempt.inputId, {
        attempt,
        inputId: attempt.inputId,
        functionCallId: input.functionCallId,
        retryCount: input.retryCount,
        deliveredAtMs: undefined,
      });
      this.#buffer.push(input);
      this.#requestedSlots = Math.max(0, this.#requestedSlots - 1);
    }
    this.#handOut();
    this.#askForMore();
  }

  /** The running input that an answer of the container is for; undefined when it is not (or no longer) its to answer. */
  find(inputId: string, retryCount: number | undefined): RunningInput | undefined {
    const input = this.#running.get(inputId);
    return input && (retryCount === undefined || input.retryCount === retryCount) ? input : undefined;
  }

  /** The running input of a generator call: the one that was delivered last, when there are several. */
  findByFunctionCall(functionCallId: string): RunningInput | undefined {
    return [...this.#running.values()].findLast((input) => input.functionCallId === functionCallId && input.deliveredAtMs !== undefined);
  }

  /** The input has its output (or needs none): it is not held any more. */
  finish(inputId: string): void {
    this.#running.delete(inputId);
    this.#buffer = this.#buffer.filter((each) => each.attempt?.inputId !== inputId);
    this.#askForMore();
  }

  /** Everything held, buffered inputs too, in the order of arrival. */
  held(): RunningInput[] {
    return [...this.#running.values()];
  }

  /** Kill switch: nothing is handed out from now on, waiting requests are answered with it. */
  stop(): void {
    this.#isStopping = true;
    this.#withdraw();
    for (const waiter of [...this.#waiters]) waiter.settle({ kind: "killSwitch" });
  }

  /** The number of inputs that the waiting request is still open for, with its id: what a new link session must be told. */
  openRequest(): { readonly slots: number; readonly requestId: bigint } | undefined {
    return this.#requestedSlots > 0 ? { slots: this.#requestedSlots, requestId: this.#requestId } : undefined;
  }

  #handOut(): void {
    for (let waiter = this.#waiters[0]; waiter && this.#buffer.length > 0 && !this.#isStopping; waiter = this.#waiters[0]) {
      if (waiter.lingerMs > 0 && this.#buffer.length < waiter.maxInputs) {
        this.#linger(waiter);
        return;
      }
      this.#deliver(waiter);
    }
  }

  #linger(waiter: Waiter): void {
    waiter.lingerTimer ??= setTimeout(() => {
      if (this.#buffer.length > 0) this.#deliver(waiter);
      this.#askForMore();
    }, waiter.lingerMs);
  }

  #deliver(waiter: Waiter): void {
    const inputs = this.#buffer.splice(0, waiter.maxInputs);
    const deliveredAtMs = this.#ports.monotonicMs();
    const delivered: RunningInput[] = [];
    for (const input of inputs) {
      const known = this.#running.get(input.attempt?.inputId ?? "");
      if (known) delivered.push({ ...known, deliveredAtMs });
    }
    for (const input of delivered) this.#running.set(input.inputId, input);
    waiter.settle({ kind: "inputs", inputs });
    this.#ports.delivered(delivered);
  }

  /** Keeps the request at the control plane equal to what the waiting container could take now. */
  #askForMore(): void {
    const waiter = this.#waiters[0];
    if (!waiter || this.#isStopping) {
      this.#withdraw();
      return;
    }
    const room = waiter.maxInputs > 1 ? waiter.maxInputs - this.#buffer.length : Math.max(1, waiter.concurrency - this.#running.size);
    if (room === this.#requestedSlots) return;
    this.#requestedSlots = Math.max(0, room);
    this.#requestId += 1n;
    this.#ports.request(this.#requestedSlots, this.#requestId);
  }

  #withdraw(): void {
    if (this.#requestedSlots === 0) return;
    this.#requestedSlots = 0;
    this.#requestId += 1n;
    this.#ports.request(0, this.#requestId);
  }
}

export function sameAttempt(a: Attempt, b: Attempt): boolean {
  return a.inputId === b.inputId && a.epoch === b.epoch && a.counter === b.counter;
}

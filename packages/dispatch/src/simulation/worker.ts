/** A machine with containers under it, as the api sees one: it may freeze, die, lose its link, repeat itself, and come back. */
import type { Id } from "@squall/core/ids";
import type { ArrivedOutput, Attempt, Delivery, EndReason, OutcomeKind, ReportedContainer } from "../events.ts";
import type { SimApi } from "./api.ts";
import type { SimFunction } from "./functions.ts";
import type { World } from "./world.ts";

interface Running {
  readonly delivery: Delivery;
  isCancelled: boolean;
}

export class SimContainer {
  readonly containerId: Id<"container">;
  readonly function: SimFunction;
  readonly running = new Map<Id<"input">, Running>();
  isDead = false;
  isReady = false;
  waitingFor: bigint | undefined;
  requestId = 0n;

  constructor(containerId: Id<"container">, fn: SimFunction) {
    this.containerId = containerId;
    this.function = fn;
  }
}

type Ended = { readonly container: SimContainer; readonly reason: EndReason };

export class SimWorker {
  readonly workerId: Id<"worker">;
  readonly containers = new Map<Id<"container">, SimContainer>();
  /** Set while connected: the process it talks to. */
  api: SimApi | undefined;
  session = 0;
  #frozenUntilMs = 0;
  /** Sent again on every new link until the api has them. */
  readonly #unacknowledged = new Map<string, ArrivedOutput>();
  readonly #ended = new Map<Id<"container">, Ended>();
  readonly #initFailed = new Map<Id<"container">, SimContainer>();
  readonly #world: World;
  readonly #presentApi: () => SimApi | undefined;

  constructor(world: World, workerId: Id<"worker">, presentApi: () => SimApi | undefined) {
    this.#world = world;
    this.workerId = workerId;
    this.#presentApi = presentApi;
    this.#reconnectLater();
  }

  get isFrozen(): boolean {
    return this.#world.nowMs < this.#frozenUntilMs;
  }

  // ---- faults
  breakLink(): void {
    if (this.api === undefined) return;
    this.api.workers.delete(this.workerId);
    this.api = undefined;
    this.session++;
    this.#reconnectLater();
  }

  freeze(forMs: number): void {
    this.#frozenUntilMs = this.#world.nowMs + forMs;
    this.breakLink();
  }

  die(): void {
    for (const container of this.containers.values()) container.isDead = true;
    this.containers.clear();
    this.#unacknowledged.clear();
    this.#ended.clear();
    this.#initFailed.clear();
    this.freeze(this.#world.between(200, 6000));
  }

  crashContainer(): void {
    const container = this.#world.pick([...this.containers.values()]);
    if (container !== undefined && !this.isFrozen) this.#end(container, "exited");
  }

  // ---- link
  #reconnectLater(): void {
    const waitMs = this.#world.isHealed ? 20 : this.#world.between(5, this.#world.chance(15) ? 5000 : 300);
    this.#world.after(waitMs, () => this.#connect());
  }

  #connect(): void {
    if (this.api !== undefined) return;
    const api = this.#presentApi();
    if (api === undefined || this.isFrozen) {
      this.#reconnectLater();
      return;
    }
    this.api = api;
    this.session++;
    const report = this.#report();
    this.#send((to) => {
      const desired = to.welcome(this, report);
      for (const container of [...this.containers.values()]) if (!desired.has(container.containerId)) this.#end(container, "stopped");
    });
    for (const container of this.#initFailed.values()) this.#sendInitFailure(container);
    for (const output of this.#unacknowledged.values()) this.#sendOutput(output);
    for (const ended of this.#ended.values()) this.#sendEnded(ended);
    for (const container of this.containers.values()) if (container.waitingFor !== undefined) this.#request(container);
  }

  #report(): ReportedContainer[] {
    return [...this.containers.values()].map((container) => ({
      containerId: container.containerId,
      functionId: container.function.policy.functionId,
      isLive: !container.isDead,
      running: [...container.running.values()].map((running) => running.delivery.attempt),
    }));
  }

  #travelMs(): number {
    return this.#world.between(1, !this.#world.isHealed && this.#world.chance(15) ? 150 : 8);
  }

  /** In order within one session; what is under way when the link breaks is lost. */
  #lastArrivalMs = 0;
  #send(arrive: (api: SimApi) => void): void {
    const { api, session } = this;
    if (api === undefined) return;
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, this.#world.nowMs + this.#travelMs());
    this.#world.after(this.#lastArrivalMs - this.#world.nowMs, () => {
      if (this.session === session && this.api === api && !api.isDead) arrive(api);
    });
  }

  #arrivalFromApiMs = 0;
  /** A message of the api to this worker. */
  deliver(handle: () => void): void {
    const { session } = this;
    this.#arrivalFromApiMs = Math.max(this.#arrivalFromApiMs, this.#world.nowMs + this.#travelMs());
    this.#world.after(this.#arrivalFromApiMs - this.#world.nowMs, () => {
      if (this.session === session && !this.isFrozen) handle();
    });
  }

  // ---- containers
  start(containerId: Id<"container">, fn: SimFunction): void {
    if (this.containers.has(containerId) || this.#ended.has(containerId)) return;
    const container = new SimContainer(containerId, fn);
    this.containers.set(containerId, container);
    this.#world.after(this.#world.between(20, 200), () => {
      if (container.isDead) return;
      if (fn.isBroken) {
        if (this.#world.chance(50)) {
          this.#initFailed.set(containerId, container);
          this.#sendInitFailure(container);
        }
        this.#end(container, "exited");
      } else {
        container.isReady = true;
        this.#request(container);
      }
    });
  }

  #request(container: SimContainer): void {
    if (container.isDead) return;
    container.requestId++;
    container.waitingFor = container.requestId;
    const { requestId } = container;
    this.#send((api) => api.inputsRequested(container.containerId, container.function.policy.functionId, container.function.slots, requestId));
  }

  receiveInputs(containerId: Id<"container">, requestId: bigint, inputs: readonly Delivery[]): void {
    const container = this.containers.get(containerId);
    if (container === undefined || container.isDead || container.waitingFor !== requestId) return;
    container.waitingFor = undefined;
    for (const delivery of inputs) this.#run(container, delivery);
    if (container.running.size === 0) this.#request(container);
  }

  #run(container: SimContainer, delivery: Delivery): void {
    const { inputId } = delivery.attempt;
    const before = container.running.get(inputId);
    if (before !== undefined && before.delivery.retryCount === delivery.retryCount) return; // the runtime drops what it is running
    const running: Running = { delivery, isCancelled: false };
    container.running.set(inputId, running);
    this.api?.noteRunStarted(container, delivery);
    const finish = (): void => {
      if (container.isDead || container.running.get(inputId) !== running) return;
      if (this.isFrozen) {
        this.#world.after(this.#frozenUntilMs - this.#world.nowMs + 1, finish);
        return;
      }
      if (container.function.isDeadly) this.#end(container, "exited");
      else this.#finish(container, running, container.function.fails(this.#world) ? "failure" : "success");
    };
    this.#world.after(this.#world.between(5, container.function.longestRunMs), finish);
  }

  #finish(container: SimContainer, running: Running, kind: OutcomeKind): void {
    const { attempt } = running.delivery;
    container.running.delete(attempt.inputId);
    const text = `${kind} ${attempt.inputId} ${attempt.epoch}.${attempt.counter}`;
    const result = { bytes: new TextEncoder().encode(text), dataFormat: 1, startedAtMs: 0, createdAtMs: this.#world.nowMs };
    const output: ArrivedOutput = { containerId: container.containerId, attempt, kind, result };
    this.#unacknowledged.set(`${attempt.inputId} ${attempt.epoch}.${attempt.counter}`, output);
    this.#sendOutput(output);
    if (this.#world.chance(5)) this.#sendOutput(output); // said twice
    if (container.running.size === 0) this.#request(container);
  }

  cancel(containerId: Id<"container">, attempts: readonly Attempt[], terminateContainer: boolean): void {
    const container = this.containers.get(containerId);
    if (container === undefined || container.isDead) return;
    if (terminateContainer) {
      this.#end(container, "stopped");
      return;
    }
    for (const attempt of attempts) {
      const running = container.running.get(attempt.inputId);
      if (running === undefined || running.delivery.attempt.counter !== attempt.counter || running.delivery.attempt.epoch !== attempt.epoch) continue;
      running.isCancelled = true;
      if (this.#world.chance(20)) continue; // user code that does not listen
      this.#world.after(this.#world.between(1, 50), () => {
        if (!container.isDead && container.running.get(attempt.inputId) === running) this.#finish(container, running, "terminated");
      });
    }
  }

  #end(container: SimContainer, reason: EndReason): void {
    if (container.isDead) return;
    container.isDead = true;
    this.containers.delete(container.containerId);
    const ended = { container, reason };
    this.#ended.set(container.containerId, ended);
    this.#sendEnded(ended);
  }

  #sendOutput(output: ArrivedOutput): void {
    const { attempt } = output;
    this.#send((api) =>
      api.outputArrived(output, () => this.deliver(() => this.#unacknowledged.delete(`${attempt.inputId} ${attempt.epoch}.${attempt.counter}`))),
    );
  }

  #sendInitFailure(container: SimContainer): void {
    this.#send((api) => api.initFailed(container, () => this.deliver(() => this.#initFailed.delete(container.containerId))));
  }

  #sendEnded({ container, reason }: Ended): void {
    this.#send((api) => api.containerEnded(container, reason, () => this.deliver(() => this.#ended.delete(container.containerId))));
  }
}

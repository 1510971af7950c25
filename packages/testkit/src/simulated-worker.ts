/**
 * A worker that runs nothing: speaks the agent protocol over whatever stream it is given and plays containers in memory. By default every container
 * starts at once and asks for inputs, and every input succeeds at once; tests replace `onInput` and switch `startsContainers` off.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type AgentMessage,
  AgentMessageSchema,
  type Attempt,
  type ContainerReport,
  ContainerReportSchema,
  ContainerState,
  type ControlMessage,
  type DesiredContainer,
  type DesiredState,
  type ExitReason,
  type Input,
  type InventorySchema,
  OutputOrigin,
  ExitReason as Reason,
  type Welcome,
} from "@squall/protocol/agent";

/** An open Link: a duplex call to the control plane. */
export interface LinkStream {
  send(message: AgentMessage): Promise<void>;
  readonly responses: AsyncIterable<ControlMessage>;
  cancel(): void;
}

export interface SimulatedWorkerOptions {
  readonly open: () => LinkStream;
  readonly token: string;
  readonly name: string;
  readonly inventory?: MessageInitShape<typeof InventorySchema>;
}

export interface SimulatedContainer {
  readonly desired: DesiredContainer;
  readonly running: Map<string, Input>;
  state: ContainerState;
  exit: { readonly reason: ExitReason; readonly code: number; readonly message: string } | undefined;
}

const ordinaryMachine = { milliCpu: 4000, memoryBytes: BigInt(8 << 20) << 10n, kernel: "simulated" };

export class SimulatedWorker {
  readonly containers = new Map<string, SimulatedContainer>();
  /** Everything that the control plane has said, in order, over all connections. */
  readonly heard: ControlMessage["message"][] = [];
  /** The result of an input (bytes of a GenericResult); undefined keeps it running until `answer`. */
  onInput: (input: Input, container: SimulatedContainer) => Uint8Array | undefined = () => Uint8Array.of(8, 1); // status SUCCESS
  startsContainers = true;
  /** Of the last connect. */
  welcome: Welcome | undefined;
  /** What ended the last Link; undefined while it is open or when it ended well. */
  lastError: unknown;
  readonly #options: SimulatedWorkerOptions;
  #link: LinkStream | undefined;
  #sequence = 0n;
  #requestId = 0n;
  #wake: (() => void)[] = [];

  constructor(options: SimulatedWorkerOptions) {
    this.#options = options;
  }

  /** Dials and waits for Welcome; throws what refused it. */
  async connect(): Promise<Welcome> {
    const link = this.#options.open();
    this.#link = link;
    this.lastError = undefined;
    this.welcome = undefined;
    void this.#read(link);
    const { token: workerToken, name: workerName, inventory = ordinaryMachine } = this.#options;
    const containers = [...this.containers.values()].map((container) => this.#report(container));
    this.#say({ case: "hello", value: { workerToken, workerName, inventory, containers, bootId: "simulated" } });
    await this.until(() => this.welcome !== undefined || this.lastError !== undefined);
    if (this.lastError !== undefined) throw this.lastError;
    for (const container of this.containers.values()) if (container.state === ContainerState.READY) this.#ask(container);
    if (this.welcome === undefined) throw new Error("no Welcome");
    return this.welcome;
  }

  /** The connection breaks; containers go on. */
  disconnect(): void {
    this.#link?.cancel();
    this.#link = undefined;
  }

  /** Waits for a condition that something heard can bring about. */
  async until(holds: () => boolean, withinMs = 5_000): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (!holds()) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new Error(`waited ${withinMs} ms; heard: ${this.heard.map((message) => message.case).join(", ")}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(leftMs, 50));
        this.#wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  heartbeat(): void {
    this.#say({ case: "heartbeat", value: { sequence: 1n } });
  }

  /** Sends anything; for what a well-behaved worker would not say. */
  say(message: NonNullable<MessageInitShape<typeof AgentMessageSchema>["message"]>): void {
    this.#say(message);
  }

  /** Ends an input that `onInput` left running. */
  answer(containerId: string, inputId: string, result: Uint8Array = Uint8Array.of(8, 1)): void {
    const container = this.containers.get(containerId);
    const input = container?.running.get(inputId);
    if (container === undefined || input?.attempt === undefined) throw new Error(`${containerId} does not run ${inputId}`);
    this.#answer(container, { attempt: input.attempt, result });
  }

  /** The container ends by itself, with what it has in hand. */
  end(containerId: string, exit: { reason: ExitReason; code?: number; message?: string } = { reason: Reason.EXITED }): void {
    const container = this.containers.get(containerId);
    if (container === undefined) throw new Error(`no container ${containerId}`);
    container.state = ContainerState.EXITED;
    container.exit = { code: 0, message: "", ...exit };
    this.#say({ case: "container", value: this.#report(container) });
  }

  async #read(link: LinkStream): Promise<void> {
    try {
      for await (const { message } of link.responses) {
        this.heard.push(message);
        if (link === this.#link) this.#receive(message);
        for (const wake of this.#wake.splice(0)) wake();
      }
    } catch (error) {
      if (link === this.#link) this.lastError = error;
    }
    for (const wake of this.#wake.splice(0)) wake();
  }

  #receive(message: ControlMessage["message"]): void {
    if (message.case === "welcome") this.welcome = message.value;
    if (message.case === "desired") this.#apply(message.value);
    if (message.case === "forget") for (const containerId of message.value.containerIds) this.containers.delete(containerId);
    if (message.case === "inputs") {
      const container = this.containers.get(message.value.containerId);
      if (container !== undefined) this.#run(container, message.value.inputs);
    }
  }

  #apply({ containers, stops, full }: DesiredState): void {
    for (const desired of containers) if (!this.containers.has(desired.containerId)) this.#start(desired);
    for (const { containerId } of stops) this.#stop(containerId);
    const wanted = new Set([...containers, ...stops].map(({ containerId }) => containerId));
    if (full) for (const containerId of this.containers.keys()) if (!wanted.has(containerId)) this.#stop(containerId);
  }

  #start(desired: DesiredContainer): void {
    const container: SimulatedContainer = { desired, running: new Map(), state: ContainerState.PREPARING, exit: undefined };
    this.containers.set(desired.containerId, container);
    this.#say({ case: "container", value: this.#report(container) });
    if (this.startsContainers) this.ready(desired.containerId);
  }

  /** The container asks for its first inputs. */
  ready(containerId: string): void {
    const container = this.containers.get(containerId);
    if (container === undefined) throw new Error(`no container ${containerId}`);
    for (const state of [ContainerState.STARTING, ContainerState.READY]) {
      container.state = state;
      this.#say({ case: "container", value: this.#report(container) });
    }
    this.#ask(container);
  }

  #stop(containerId: string): void {
    if (this.containers.has(containerId)) this.end(containerId, { reason: Reason.STOPPED });
    else this.#say({ case: "container", value: create(ContainerReportSchema, { containerId, state: ContainerState.EXITED, exit: { reason: Reason.LOST } }) });
  }

  #run(container: SimulatedContainer, inputs: readonly Input[]): void {
    for (const input of inputs) {
      container.running.set(input.attempt?.inputId ?? "", input);
      const result = this.onInput(input, container);
      if (result !== undefined && input.attempt !== undefined) this.#answer(container, { attempt: input.attempt, result });
    }
  }

  #answer(container: SimulatedContainer, { attempt, result }: { attempt: Attempt; result: Uint8Array }): void {
    container.running.delete(attempt.inputId);
    this.#sequence += 1n;
    const output = { containerId: container.desired.containerId, attempt, result, dataFormat: 1, origin: OutputOrigin.CONTAINER };
    this.#say({ case: "outputs", value: { sequence: this.#sequence, outputs: [output] } });
    this.#ask(container);
  }

  #ask(container: SimulatedContainer): void {
    this.#requestId += 1n;
    const slots = Math.max(1, container.desired.maxConcurrentInputs) - container.running.size;
    if (slots > 0) this.#say({ case: "inputRequest", value: { containerId: container.desired.containerId, slots, requestId: this.#requestId } });
  }

  #report({ desired, state, running, exit }: SimulatedContainer): ContainerReport {
    const attempts = [...running.values()].flatMap((input) => input.attempt ?? []);
    return create(ContainerReportSchema, {
      containerId: desired.containerId,
      generation: 1n,
      state,
      running: attempts,
      ...(exit === undefined ? {} : { exit }),
    });
  }

  #say(message: NonNullable<MessageInitShape<typeof AgentMessageSchema>["message"]>): void {
    this.#link?.send(create(AgentMessageSchema, { message })).catch(() => {}); // what ended the stream is told by what is read from it
  }
}

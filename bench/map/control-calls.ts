/** The control's calls: everything in memory, answered at once, nothing durable. One function, its inputs and its containers. */
import { create, type MessageShape } from "@bufbuild/protobuf";
import {
  type FunctionGetInputsResponse,
  FunctionGetInputsResponseSchema,
  type FunctionGetOutputsItem,
  FunctionGetOutputsItemSchema,
  type FunctionInput,
  type FunctionPutInputsItemSchema,
  type FunctionPutOutputsItemSchema,
} from "@squall/protocol/modal";

interface Waiting {
  readonly inputId: string;
  readonly functionCallId: string;
  readonly input: FunctionInput | undefined;
}

interface OpenCall {
  readonly outputs: FunctionGetOutputsItem[];
  unfinished: number;
  wake: () => void;
}

export class ControlCalls {
  readonly #calls = new Map<string, OpenCall>();
  readonly #queue: Waiting[] = [];
  readonly #running = new Map<string, { readonly functionCallId: string; readonly idx: number }>();
  readonly #pollers: ((item: Waiting) => void)[] = [];
  #ids = 0;

  open(): string {
    this.#ids += 1;
    const id = `fc-${this.#ids}`;
    this.#calls.set(id, { outputs: [], unfinished: 0, wake: () => undefined });
    return id;
  }

  /** Hands the inputs to containers that wait, keeps the rest, and returns what the caller needs to recognise them. */
  put(functionCallId: string, items: readonly MessageShape<typeof FunctionPutInputsItemSchema>[]): { idx: number; inputId: string; inputJwt: string }[] {
    const call = this.#call(functionCallId);
    return items.map(({ idx, input }) => {
      this.#ids += 1;
      const inputId = `in-${this.#ids}`;
      call.unfinished += 1;
      this.#running.set(inputId, { functionCallId, idx });
      const waiting = { inputId, functionCallId, input };
      const poller = this.#pollers.shift();
      if (poller) poller(waiting);
      else this.#queue.push(waiting);
      return { idx, inputId, inputJwt: `e30.${Buffer.from(JSON.stringify({ idx })).toString("base64url")}.e30` };
    });
  }

  /** The next input for a container; waits for one until `signal` aborts. */
  async next(signal: AbortSignal): Promise<FunctionGetInputsResponse> {
    const waiting = this.#queue.shift() ?? (await this.#poll(signal));
    if (!waiting) return create(FunctionGetInputsResponseSchema, {});
    const { inputId, functionCallId, input } = waiting;
    return create(FunctionGetInputsResponseSchema, { inputs: [{ inputId, functionCallId, ...(input ? { input } : {}) }] });
  }

  finish(outputs: readonly MessageShape<typeof FunctionPutOutputsItemSchema>[]): void {
    for (const { inputId, result, dataFormat } of outputs) {
      const input = this.#running.get(inputId);
      if (!input || !result) continue;
      this.#running.delete(inputId);
      const call = this.#call(input.functionCallId);
      call.unfinished -= 1;
      call.outputs.push(create(FunctionGetOutputsItemSchema, { result, idx: input.idx, inputId, dataFormat }));
      call.wake();
    }
  }

  /** Outputs after an entry; waits up to `timeoutMs` for the first. */
  async outputs(
    functionCallId: string,
    after: string,
    timeoutMs: number,
  ): Promise<{ outputs: FunctionGetOutputsItem[]; lastEntryId: string; numUnfinishedInputs: number }> {
    const call = this.#call(functionCallId);
    const from = Number(after.split("-")[0] ?? 0);
    if (call.outputs.length <= from && timeoutMs > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      call.wake = resolve;
      const timer = setTimeout(resolve, timeoutMs);
      await promise;
      clearTimeout(timer);
    }
    const outputs = call.outputs.slice(from);
    return { outputs, lastEntryId: `${from + outputs.length}-0`, numUnfinishedInputs: call.unfinished };
  }

  #poll(signal: AbortSignal): Promise<Waiting | undefined> {
    return new Promise((resolve) => {
      const take = (item: Waiting) => {
        signal.removeEventListener("abort", leave);
        resolve(item);
      };
      const leave = () => {
        const at = this.#pollers.indexOf(take);
        if (at >= 0) this.#pollers.splice(at, 1);
        resolve(undefined);
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#pollers.push(take);
    });
  }

  #call(id: string): OpenCall {
    const call = this.#calls.get(id);
    if (!call) throw new Error(`no call ${id}`);
    return call;
  }
}

/** One open Link of one worker: what is sent on it and what is still to be acknowledged. */
import { randomBytes } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Id } from "@squall/core/ids";
import { GrpcError, statusCode } from "@squall/grpc/handler";
import { type ControlMessage, ControlMessageSchema } from "@squall/protocol/agent";
import { Acknowledgements } from "./acknowledgements.ts";
import { Mailbox } from "./mailbox.ts";

const mostOutgoing = 65_536; // a worker with 1,000 containers that all get 50 inputs at once stays below
const mostUnstored = 4_096;

export type ControlContent = NonNullable<MessageInitShape<typeof ControlMessageSchema>["message"]>;

export class LinkSession {
  readonly workerId: Id<"worker">;
  /** Proves to the bulk streams that they belong to this Link. */
  readonly name = randomBytes(16).toString("hex");
  readonly #mailbox = new Mailbox<ControlMessage>(mostOutgoing);
  readonly #acknowledgements: Acknowledgements;
  #cursor = 0n;
  #desired: Promise<void> = Promise.resolve();

  constructor(workerId: Id<"worker">, onStoreFailed: (error: unknown) => void) {
    this.workerId = workerId;
    this.#acknowledgements = new Acknowledgements(
      (throughSequence) => this.send({ case: "outputsStored", value: { throughSequence } }),
      (error) => {
        onStoreFailed(error);
        this.close(new GrpcError(statusCode.unavailable, "what this worker sent could not be stored; send it again"));
      },
    );
  }

  get isOpen(): boolean {
    return !this.#mailbox.isClosed;
  }

  /** False when the stream is over. Desired states get the next cursor. */
  send(message: ControlContent): boolean {
    if (message.case !== "desired") return this.#mailbox.post(create(ControlMessageSchema, { message }));
    this.#cursor += 1n;
    return this.#mailbox.post(create(ControlMessageSchema, { message: { case: "desired", value: { ...message.value, cursor: this.#cursor } } }));
  }

  /** Acknowledges `sequence` once `stored` and everything before it resolved. */
  acknowledgeWhen(sequence: bigint, stored: Promise<unknown>): void {
    this.#acknowledgements.add(sequence, stored);
  }

  /** Resolves when the worker may send more. */
  async room(): Promise<void> {
    await this.#acknowledgements.room(mostUnstored);
  }

  /** Runs `make`s of desired states one after the other, so that they go out in the order in which they were asked for. */
  sendDesired(
    make: () => Promise<Omit<Extract<ControlContent, { case: "desired" }>["value"], "$typeName" | "cursor">>,
    onError: (error: unknown) => void,
  ): void {
    this.#desired = this.#desired.then(async () => {
      if (!this.isOpen) return;
      try {
        this.send({ case: "desired", value: await make() });
      } catch (error) {
        onError(error);
        this.close(new GrpcError(statusCode.unavailable, "the desired state could not be read; connect again"));
      }
    });
  }

  messages(): AsyncGenerator<ControlMessage> {
    return this.#mailbox.read();
  }

  close(error?: GrpcError): void {
    this.#mailbox.close(error);
  }
}

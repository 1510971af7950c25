/** Length-prefixed messages: one byte of flags, four of length, the message. */
import { GrpcError, statusCode } from "./handler.ts";

const prefixBytes = 5;

/** 128 MiB: functions and batches of generators come to 16 MiB, the JavaScript client caps at 100. */
export const defaultMaxMessageBytes = 128 * 1024 * 1024;

/** `message` with its prefix. */
export function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(prefixBytes + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, prefixBytes);
  return framed;
}

/** Cuts a byte stream into messages. A message over the limit is refused by its prefix, before its bytes are kept. */
export class FrameReader {
  readonly #maxMessageBytes: number;
  #parts: Buffer[] = [];
  #heldBytes = 0;
  #messageBytes: number | undefined;

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  push(chunk: Buffer): void {
    this.#parts.push(chunk);
    this.#heldBytes += chunk.length;
  }

  /** The next whole message, or undefined until more is pushed. Throws `GrpcError` for what cannot be read; the stream is then over. */
  next(): Uint8Array | undefined {
    this.#messageBytes ??= this.#readPrefix();
    if (this.#messageBytes === undefined || this.#heldBytes < prefixBytes + this.#messageBytes) return undefined;
    const held = this.#join();
    const end = prefixBytes + this.#messageBytes;
    this.#parts = end === held.length ? [] : [held.subarray(end)];
    this.#heldBytes = held.length - end;
    this.#messageBytes = undefined;
    return held.subarray(prefixBytes, end);
  }

  /** Whether bytes of an unfinished message are held. */
  get isMidMessage(): boolean {
    return this.#heldBytes > 0;
  }

  #readPrefix(): number | undefined {
    if (this.#heldBytes < prefixBytes) return undefined;
    const [first] = this.#parts;
    const head = first && first.length >= prefixBytes ? first : this.#join();
    if (head[0] !== 0) throw new GrpcError(statusCode.unimplemented, "compressed messages are not supported: send grpc-encoding identity");
    const messageBytes = head.readUInt32BE(1);
    if (messageBytes > this.#maxMessageBytes) {
      throw new GrpcError(statusCode.resourceExhausted, `a message of ${messageBytes} bytes is larger than the limit of ${this.#maxMessageBytes}`);
    }
    return messageBytes;
  }

  #join(): Buffer {
    const [only] = this.#parts;
    if (this.#parts.length === 1 && only) return only;
    const joined = Buffer.concat(this.#parts, this.#heldBytes);
    this.#parts = [joined];
    return joined;
  }
}

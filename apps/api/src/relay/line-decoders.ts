/** Text out of frames: characters that are cut by a frame's end are put together again, per container and stream. */
import { StringDecoder } from "node:string_decoder";
import { droppedBytes, type LogFrame, logStream } from "@squall/streams/log-frames";

export interface LogText {
  readonly atMs: number;
  readonly stream: number;
  readonly text: string;
}

export class LineDecoders {
  readonly #decoders = new Map<string, StringDecoder>();

  /** Frames of one log in their order; a frame that ends no character yields nothing yet. */
  decode(source: string, frames: readonly LogFrame[]): LogText[] {
    return frames.flatMap((frame) => {
      const { atMs, stream } = frame;
      if (stream === logStream.dropped) return [{ atMs, stream: logStream.system, text: `\n[${droppedBytes(frame)} bytes of output were dropped]\n` }];
      const key = `${source}/${stream}`;
      const decoder = this.#decoders.get(key) ?? new StringDecoder("utf8");
      this.#decoders.set(key, decoder);
      const text = decoder.write(Buffer.from(frame.data));
      return text === "" ? [] : [{ atMs, stream, text }];
    });
  }
}

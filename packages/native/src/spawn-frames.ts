import type { Readable } from "node:stream";

/** `run` waits for the end of the program, `detach` until it closed its descriptor 3; `nudge` starts none and is not answered. */
export type SpawnKind = "run" | "detach" | "nudge";

/** One program to start. Arguments hold no NUL; `stdin` only with `run`. */
export interface SpawnRequest {
  readonly id: number;
  readonly kind: SpawnKind;
  readonly argv: readonly string[];
  readonly stdin: string;
}

/** The answer to the request with the same id. For `detach`, `stdout` is what came through descriptor 3. */
export interface SpawnAnswer {
  readonly id: number;
  readonly status: number;
  readonly pid: number;
  readonly stdout: string;
  readonly stderr: string;
}

const kinds: Record<SpawnKind, number> = { run: 1, detach: 2, nudge: 3 };
const answerHeadBytes = 20;

/** The frame that `squall-native spawn` reads (c/spawn.c says how it is laid out). */
export function encodeRequest({ id, kind, argv, stdin }: SpawnRequest): Buffer {
  const words = Buffer.from(argv.map((word) => `${word}\0`).join(""));
  const input = Buffer.from(stdin);
  const head = Buffer.alloc(13);
  head.writeUInt32LE(9 + words.length + input.length, 0);
  head.writeUInt32LE(id, 4);
  head.writeUInt8(kinds[kind], 8);
  head.writeUInt32LE(words.length, 9);
  return Buffer.concat([head, words, input]);
}

/** Calls back with every whole answer of the stream. */
export function decodeAnswers(stream: Readable, onAnswer: (answer: SpawnAnswer) => void): void {
  let pending: Buffer = Buffer.alloc(0);
  stream.on("data", (bytes: Buffer) => {
    pending = pending.length === 0 ? bytes : Buffer.concat([pending, bytes]);
    while (pending.length >= 4 && pending.length >= 4 + pending.readUInt32LE(0)) {
      const length = 4 + pending.readUInt32LE(0);
      onAnswer(decodeAnswer(pending.subarray(0, length)));
      pending = pending.subarray(length);
    }
  });
}

function decodeAnswer(frame: Buffer): SpawnAnswer {
  const stdoutEnd = answerHeadBytes + frame.readUInt32LE(16);
  return {
    id: frame.readUInt32LE(4),
    status: frame.readInt32LE(8),
    pid: frame.readUInt32LE(12),
    stdout: frame.toString("utf8", answerHeadBytes, stdoutEnd),
    stderr: frame.toString("utf8", stdoutEnd),
  };
}

/**
 * The frames of a container's log, as the shim writes them (packages/native/c/shim.c: any change here is a change of a format on disk) and as they
 * travel and rest: u64 wall-clock milliseconds, u8 stream, u32 length of the data, then the data; little-endian.
 */
export const frameHeaderBytes = 13; // 8 + 1 + 4
/** The longest data of one frame: a pipe's worth. */
export const maxFrameDataBytes = 65_536;

/** Which stream a frame is of. A `dropped` frame's data is a u64: how many bytes were lost before the next frame. */
export const logStream = { dropped: 0, stdout: 1, stderr: 2, system: 3 } as const;

export interface LogFrame {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly stream: number;
  readonly data: Uint8Array;
}

/** The frame as bytes; data longer than `maxFrameDataBytes` is a bug of the caller. */
export function encodeLogFrame({ atMs, stream, data }: LogFrame): Uint8Array<ArrayBuffer> {
  if (data.length > maxFrameDataBytes) throw new RangeError(`log frame of ${data.length} bytes`);
  const bytes = new Uint8Array(frameHeaderBytes + data.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(atMs), true);
  view.setUint8(8, stream);
  view.setUint32(9, data.length, true);
  bytes.set(data, frameHeaderBytes);
  return bytes;
}

/** The whole frames at the head of `bytes` and how many bytes they take; the rest is an unfinished frame. Throws when the bytes are no log. */
export function decodeLogFrames(bytes: Uint8Array): { readonly frames: readonly LogFrame[]; readonly lengthBytes: number } {
  const frames: LogFrame[] = [];
  const lengthBytes = eachFrame(bytes, (frame) => frames.push(frame));
  return { frames, lengthBytes };
}

/** Length of the whole frames at the head of `bytes`, at most `limitBytes` (but at least one frame if there is one): where a chunk may be cut. */
export function wholeFramesLength(bytes: Uint8Array, limitBytes: number): number {
  let cut = 0;
  eachFrame(bytes, (_, endsAt) => {
    if (cut === 0 || endsAt <= limitBytes) cut = endsAt;
  });
  return cut;
}

/** How many bytes a `dropped` frame says were lost. */
export function droppedBytes(frame: LogFrame): number {
  return frame.data.length < 8 ? 0 : Number(new DataView(frame.data.buffer, frame.data.byteOffset).getBigUint64(0, true));
}

function eachFrame(bytes: Uint8Array, visit: (frame: LogFrame, endsAt: number) => void): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let offset = 0;
  while (bytes.length - offset >= frameHeaderBytes) {
    const dataBytes = view.getUint32(offset + 9, true);
    if (dataBytes > maxFrameDataBytes) throw new RangeError(`not a log: a frame of ${dataBytes} bytes at ${offset}`);
    const endsAt = offset + frameHeaderBytes + dataBytes;
    if (endsAt > bytes.length) break;
    const data = bytes.subarray(offset + frameHeaderBytes, endsAt);
    visit({ atMs: Number(view.getBigUint64(offset, true)), stream: view.getUint8(offset + 8), data }, endsAt);
    offset = endsAt;
  }
  return offset;
}

import { closeSync, openSync, readdirSync, readSync, unlinkSync } from "node:fs";
import path from "node:path";

/** Whole frames of a container's log, beginning at `offset`. README.md says how a frame is laid out. */
export interface LogChunk {
  readonly offset: number;
  readonly frames: Buffer;
}

const frameHeadBytes = 13;

/** Smallest `maxBytes` of a read: the largest frame. */
export const largestFrameBytes = frameHeadBytes + 65_536;

/**
 * Reads what stands in the log from `offset` on, at most about `maxBytes` and in whole frames; empty when there is nothing new. When the log begins later
 * (segments were dropped) reading begins there, which the chunk's offset shows.
 */
export function readLogs(dir: string, { offset, maxBytes }: { offset: number; maxBytes: number }): LogChunk[] {
  const segments = listSegments(dir);
  const chunks: LogChunk[] = [];
  let at = Math.max(offset, segments[0]?.start ?? offset);
  let room = Math.max(maxBytes, largestFrameBytes);
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1];
    if (next && next.start <= at) continue;
    const frames = readFrames(path.join(dir, segment.name), at - segment.start, room);
    if (frames.length > 0) chunks.push({ offset: at, frames });
    at += frames.length;
    room -= frames.length;
    if (room < largestFrameBytes || at !== next?.start) break;
  }
  return chunks;
}

/** Deletes the segments that lie wholly below an offset; the one that is being written stays. */
export function dropLogs(dir: string, { belowOffset }: { belowOffset: number }): void {
  const segments = listSegments(dir);
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1];
    if (next && next.start <= belowOffset) unlinkSync(path.join(dir, segment.name));
  }
}

function listSegments(dir: string): { name: string; start: number }[] {
  return readdirSync(dir)
    .filter((name) => /^log\.\d{20}$/.test(name))
    .map((name) => ({ name, start: Number(name.slice(4)) }))
    .sort((a, b) => a.start - b.start);
}

function readFrames(file: string, position: number, maxBytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(maxBytes);
  const fd = openSync(file, "r");
  try {
    const length = readSync(fd, buffer, 0, maxBytes, position);
    return buffer.subarray(0, wholeFrames(buffer.subarray(0, length)));
  } finally {
    closeSync(fd);
  }
}

/** How many bytes of the buffer are whole frames: the shim may be in the middle of the last one. */
function wholeFrames(buffer: Buffer): number {
  let end = 0;
  while (buffer.length - end >= frameHeadBytes) {
    const length = frameHeadBytes + buffer.readUInt32LE(end + 9);
    if (end + length > buffer.length) break;
    end += length;
  }
  return end;
}

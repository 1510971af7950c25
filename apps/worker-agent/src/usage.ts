/**
 * Metering: what each container used, in segments that are on this machine's disk before they are sent and until the control plane has them.
 * One file per segment, `<dir>/<container>.<seq>`; (container, seq) is billed once, so a segment may be sent any number of times.
 */
import { mkdirSync } from "node:fs";
import { open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type UsageKey, type UsageSegment, UsageSegmentSchema } from "@squall/protocol/agent";

const segmentsPerMessage = 256;

export class UsageJournal {
  readonly #dir: string;
  readonly #pending = new Map<string, UsageSegment>();
  #send: ((segments: UsageSegment[]) => void) | undefined;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Reads what an earlier agent of this machine left unsent. */
  static async open(dir: string): Promise<UsageJournal> {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const journal = new UsageJournal(dir);
    for (const name of await readdir(dir)) {
      if (name.endsWith(".tmp")) await rm(join(dir, name));
      else journal.#pending.set(name, fromBinary(UsageSegmentSchema, await readFile(join(dir, name))));
    }
    return journal;
  }

  /** Resolves when the segment survives a power cut; sends it then. */
  async append(segment: UsageSegment): Promise<void> {
    const name = fileName(segment);
    const temporary = join(this.#dir, `${name}.tmp`);
    const file = await open(temporary, "w", 0o600);
    try {
      await file.writeFile(toBinary(UsageSegmentSchema, segment));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, join(this.#dir, name));
    await syncFolder(this.#dir);
    this.#pending.set(name, segment);
    this.#send?.([segment]);
  }

  /** A new link session: everything that is not stored yet goes out again. */
  connect(send: (segments: UsageSegment[]) => void): void {
    this.#send = send;
    const segments = [...this.#pending.values()];
    for (let at = 0; at < segments.length; at += segmentsPerMessage) send(segments.slice(at, at + segmentsPerMessage));
  }

  disconnect(): void {
    this.#send = undefined;
  }

  async stored(keys: readonly UsageKey[]): Promise<void> {
    for (const key of keys) {
      const name = fileName(key);
      if (!this.#pending.delete(name)) continue;
      await rm(join(this.#dir, name), { force: true });
    }
  }

  get pendingCount(): number {
    return this.#pending.size;
  }
}

function fileName({ containerId, seq }: { containerId: string; seq: bigint }): string {
  if (!/^[\w-]+$/.test(containerId)) throw new Error(`not a container id: ${JSON.stringify(containerId)}`);
  return `${containerId}.${seq}`;
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

export interface Reservation {
  readonly milliCpu: number;
  readonly memoryBytes: bigint;
  readonly gpuType: string;
  readonly gpuCount: number;
}

/** Where the metering of one container stands; kept with the container's state, so that a restarted agent goes on without a gap or a repeat. */
export interface MeterState {
  readonly nextSeq: number;
  readonly sinceMs: number;
  readonly cpuNs: number;
}

/** The segment from `state` to `now`, and the state after it. Time and CPU never run backwards, whatever the readings say. */
export function nextSegment(input: {
  containerId: string;
  state: MeterState;
  reading: { cpuNs: number; peakMemoryBytes: number };
  nowMs: number;
  reserved: Reservation;
  isFinal: boolean;
}): { segment: UsageSegment; state: MeterState } {
  const { containerId, state, reading, reserved, isFinal } = input;
  const toMs = Math.max(state.sinceMs, Math.round(input.nowMs));
  const cpuNs = Math.max(state.cpuNs, Math.round(reading.cpuNs));
  const segment = create(UsageSegmentSchema, {
    containerId,
    seq: BigInt(state.nextSeq),
    fromMs: BigInt(state.sinceMs),
    toMs: BigInt(toMs),
    cpuNs: BigInt(cpuNs - state.cpuNs),
    peakMemoryBytes: BigInt(Math.round(reading.peakMemoryBytes)),
    ...reserved,
    final: isFinal,
  });
  return { segment, state: { nextSeq: state.nextSeq + 1, sinceMs: toMs, cpuNs } };
}

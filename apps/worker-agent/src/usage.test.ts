import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { UsageKeySchema, type UsageSegment } from "@squall/protocol/agent";
import * as fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { nextSegment, UsageJournal } from "./usage.ts";

const folder = mkdtempSync(join(tmpdir(), "squall-usage-"));
afterAll(() => rmSync(folder, { recursive: true }));

const reserved = { milliCpu: 125, memoryBytes: 1n << 27n, gpuType: "", gpuCount: 0 };
const segmentOf = (containerId: string, nextSeq: number) =>
  nextSegment({ containerId, state: { nextSeq, sinceMs: 1000, cpuNs: 0 }, reading: { cpuNs: 5, peakMemoryBytes: 7 }, nowMs: 2000, reserved, isFinal: false })
    .segment;

describe("usage journal", () => {
  test("a segment is kept on disk until it is stored, over restarts", async () => {
    const dir = join(folder, "a");
    const first = await UsageJournal.open(dir);
    await first.append(segmentOf("ta-1", 0));
    await first.append(segmentOf("ta-1", 1));
    const second = await UsageJournal.open(dir);
    const sent: UsageSegment[] = [];
    second.connect((segments) => sent.push(...segments));
    expect(sent).toMatchObject([
      { containerId: "ta-1", seq: 0n, cpuNs: 5n, peakMemoryBytes: 7n },
      { containerId: "ta-1", seq: 1n },
    ]);
    await second.stored(sent.map(({ containerId, seq }) => create(UsageKeySchema, { containerId, seq })));
    expect(second.pendingCount).toBe(0);
    expect(readdirSync(dir)).toEqual([]);
  });

  test("what is appended while there is no link is sent with the next one", async () => {
    const journal = await UsageJournal.open(join(folder, "b"));
    const sent: UsageSegment[] = [];
    journal.connect((segments) => sent.push(...segments));
    journal.disconnect();
    await journal.append(segmentOf("ta-2", 0));
    expect(sent).toEqual([]);
    journal.connect((segments) => sent.push(...segments));
    expect(sent).toHaveLength(1);
  });
});

test("segments are dense and without gap or overlap, whatever the counters read", () => {
  const readings = fc.array(fc.record({ cpuNs: fc.nat(), nowMs: fc.nat() }), { minLength: 1 });
  fc.assert(
    fc.property(readings, (all) => {
      let state = { nextSeq: 0, sinceMs: 500, cpuNs: 0 };
      let until = 500n;
      let total = 0n;
      for (const [index, { cpuNs, nowMs }] of all.entries()) {
        const next = nextSegment({ containerId: "ta-1", state, reading: { cpuNs, peakMemoryBytes: 1 }, nowMs, reserved, isFinal: false });
        expect(next.segment.seq).toBe(BigInt(index));
        expect(next.segment.fromMs).toBe(until);
        expect(next.segment.toMs).toBeGreaterThanOrEqual(next.segment.fromMs);
        until = next.segment.toMs;
        total += next.segment.cpuNs;
        state = next.state;
      }
      expect(total).toBe(BigInt(Math.max(0, ...all.map((each) => each.cpuNs))));
    }),
  );
});

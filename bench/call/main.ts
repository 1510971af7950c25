/** A warm call that does nothing, durable on both sides: ours through the public API and a simulated worker, beside BullMQ on a syncing Redis. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { startStack } from "@squall/e2e/stack";
import { Caller } from "../src/caller.ts";
import { type Benchmark, quantile, type Round, type Row, summarise } from "../src/report.ts";
import { startBullMq } from "./bullmq.ts";
import { absurdMemoryMb, startSimulatedWorker } from "./simulated-worker.ts";

type Call = (args: Uint8Array) => Promise<void>;

const rounds = 7;
const args = new Uint8Array(200).fill(7);

export const benchmark: Benchmark = {
  run: async (say) => {
    const stack = await startStack();
    const peer = await startBullMq(process.env["SQUALL_CACHE"] ?? "/var/cache/squall");
    const workerToken = (await readFile(join(stack.home, "worker-token"), "utf8")).trim();
    const worker = await startSimulatedWorker({ url: stack.server_url, workerToken });
    const caller = new Caller({ url: stack.server_url, tokenId: stack.token_id, tokenSecret: stack.token_secret });
    try {
      await caller.makeFunction({ memoryMb: absurdMemoryMb });
      const ours: Call = (bytes) => caller.call(bytes);
      await measure(ours, { callers: 8, calls: 200 }); // both warm: connections, compiled code, the container
      await measure(peer.call, { callers: 8, calls: 200 });
      const results: Row[] = [];
      for (const callers of [1, 64]) results.push(...(await compare({ ours, theirs: peer.call, callers, say })));
      await caller.close();
      return results;
    } finally {
      worker.close();
      await peer.close();
      await stack.stop();
    }
  },
};

async function compare({ ours, theirs, callers, say }: { ours: Call; theirs: Call; callers: number; say: (line: string) => void }): Promise<Row[]> {
  const p50: Round[] = [];
  const p99: Round[] = [];
  const rates: Round[] = [];
  const work = { callers, calls: callers === 1 ? 100 : 1_280 };
  for (let round = 1; round <= rounds; round++) {
    const mine = await measure(ours, work);
    const other = await measure(theirs, work);
    p50.push({ ours: quantile(mine.tookMs, 0.5), theirs: quantile(other.tookMs, 0.5) });
    p99.push({ ours: quantile(mine.tookMs, 0.99), theirs: quantile(other.tookMs, 0.99) });
    rates.push({ ours: mine.perSecond, theirs: other.perSecond });
    say(`call: ${callers} callers, round ${round} of ${rounds}: ours ${p50.at(-1)?.ours.toFixed(2)} ms, bullmq ${p50.at(-1)?.theirs.toFixed(2)} ms`);
  }
  const name = `durable, ${callers} caller${callers === 1 ? "" : "s"}`;
  return [
    summarise({ metric: "p50_ms", case: name, peer: "bullmq" }, p50),
    summarise({ metric: "p99_ms", case: name, peer: "bullmq" }, p99),
    summarise({ metric: "calls_per_s", case: name, peer: "bullmq", better: "higher" }, rates),
  ];
}

async function measure(call: Call, { callers, calls }: { callers: number; calls: number }): Promise<{ tookMs: number[]; perSecond: number }> {
  const tookMs: number[] = [];
  let left = calls;
  const startedAt = performance.now();
  const oneCaller = async () => {
    while (left-- > 0) {
      const from = performance.now();
      await call(args);
      tookMs.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: callers }, oneCaller));
  return { tookMs, perSecond: (calls / (performance.now() - startedAt)) * 1000 };
}

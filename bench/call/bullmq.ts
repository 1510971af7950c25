/** The peer: a BullMQ queue whose jobs are waited for, on a Redis that syncs every write. Client and worker share this process, as ours do. */
import { Queue, QueueEvents, Worker } from "bullmq";
import { type Redis, startRedis } from "../src/redis.ts";

export interface BullMq {
  readonly call: (args: Uint8Array) => Promise<void>;
  readonly close: () => Promise<void>;
}

export async function startBullMq(cacheDir: string): Promise<BullMq> {
  const redis: Redis = await startRedis(cacheDir);
  const connection = { host: "127.0.0.1", port: redis.port };
  const queue = new Queue("bench", { connection });
  const events = new QueueEvents("bench", { connection });
  const worker = new Worker("bench", async () => null, { connection, concurrency: 64 });
  for (const emitter of [queue, events]) emitter.setMaxListeners(200); // one per waiting caller
  await Promise.all([queue.waitUntilReady(), events.waitUntilReady(), worker.waitUntilReady()]);
  const call = async (args: Uint8Array) => {
    const job = await queue.add("nothing", { args: Buffer.from(args).toString("base64") });
    await job.waitUntilFinished(events);
  };
  const close = async () => {
    await worker.close(true);
    await events.close();
    await queue.close();
    await redis.stop();
  };
  return { call, close };
}

import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { numberOf, optionalBytesOf, optionalTextOf } from "../journal/sql.ts";
import type { CallEngine } from "./call-engine.ts";
import { fetchCall, readBytes } from "./internal.ts";
import { Patience } from "./patience.ts";

export interface StoredChunk {
  readonly index: number;
  /** The client's DataChunk message. */
  readonly chunk: Uint8Array;
}

const chunksPerRead = 64;

/**
 * What a generator yielded after `afterIndex`, as it comes, in order. Ends when nothing came for `idleMs` or when the caller goes
 * away: the reader knows from the call's output how many there are.
 */
export async function* readChunks({
  ctx,
  input,
  calls,
  signal,
}: {
  ctx: ServiceContext<"objects">;
  input: { readonly callId: string; readonly afterIndex: number; readonly idleMs: number };
  calls: CallEngine;
  signal: AbortSignal;
}): AsyncGenerator<StoredChunk> {
  authorize(ctx, "functionCall", "read");
  const { callId } = await fetchCall(ctx, calls, input.callId);
  let afterIndex = input.afterIndex;
  while (!signal.aborted) {
    const watch = calls.outputs.watch(callId);
    try {
      const chunks = await readStored({ ctx, calls, callId, afterIndex });
      for (const chunk of chunks) {
        afterIndex = chunk.index;
        yield chunk;
      }
      if (chunks.length > 0) continue;
      const cameMore = await within(input.idleMs, watch.changed, signal);
      if (!cameMore) return;
    } finally {
      watch.stop();
    }
  }
}

interface ChunksToRead {
  readonly ctx: ServiceContext<"objects">;
  readonly calls: CallEngine;
  readonly callId: string;
  readonly afterIndex: number;
}

async function readStored({ ctx, calls, callId, afterIndex }: ChunksToRead): Promise<StoredChunk[]> {
  const { rows } = await calls.sql.query({
    name: "chunks of a call",
    text: "SELECT idx, chunk, chunk_object FROM data_chunk WHERE function_call_id = $1 AND idx > $2 ORDER BY idx LIMIT $3",
    values: [callId, afterIndex, chunksPerRead],
  });
  return await Promise.all(
    rows.map(async (row) => ({
      index: numberOf(row, "idx"),
      chunk: await readBytes(ctx.deps.objects, optionalBytesOf(row, "chunk"), optionalTextOf(row, "chunk_object")),
    })),
  );
}

async function within(ms: number, changed: Promise<void>, signal: AbortSignal): Promise<boolean> {
  const patience = new Patience(ms, signal);
  try {
    return await Promise.race([changed.then(() => true), patience.over.then(() => false)]);
  } finally {
    patience.end();
  }
}

import { asId, type Id } from "@squall/core/ids";
import type { ObjectStore } from "@squall/objects/object-store";
import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { numberOf, optionalBytesOf, optionalTextOf, type Row, textOf } from "../journal/sql.ts";
import type { CallEngine } from "./call-engine.ts";
import { fetchCall, readBytes } from "./internal.ts";
import type { OutputRecord } from "./output-log.ts";
import { Patience } from "./patience.ts";

export interface AwaitOutputsInput {
  readonly callId: string;
  /** Outputs after this entry; 0 for all. */
  readonly afterSequence: number;
  readonly timeoutMs: number;
  /** Only outputs with an idx in this closed range; undefined for all. */
  readonly range: { readonly first: number; readonly last: number } | undefined;
  /** 0 for no bound. */
  readonly maxValues: number;
}

export interface AwaitedOutputs {
  readonly outputs: readonly OutputRecord[];
  /** Entry to ask after next time. */
  readonly lastSequence: number;
  readonly unfinishedInputs: number;
}

/** One answer carries at least one output and stops growing here; the reader comes back for the rest. */
const maxAnswerBytes = 8 << 20;
const maxAnswerOutputs = 1_000;

/** Outputs that are there, or the first that come within `timeoutMs`: a push, never a poll. Empty when none came or the caller went away. */
export async function awaitOutputs({
  ctx,
  input,
  calls,
  signal,
}: {
  ctx: ServiceContext<"objects">;
  input: AwaitOutputsInput;
  calls: CallEngine;
  signal: AbortSignal;
}): Promise<AwaitedOutputs> {
  authorize(ctx, "functionCall", "read");
  const { callId } = await fetchCall(ctx, calls, input.callId);
  const patience = new Patience(input.timeoutMs, signal);
  try {
    return await awaitWithin(patience, { ctx, input, calls, callId });
  } finally {
    patience.end();
  }
}

async function awaitWithin(
  patience: Patience,
  { ctx, input, calls, callId }: { ctx: ServiceContext<"objects">; input: AwaitOutputsInput; calls: CallEngine; callId: Id<"functionCall"> },
): Promise<AwaitedOutputs> {
  let afterSequence = input.afterSequence;
  for (;;) {
    const watch = calls.outputs.watch(callId); // before looking, so that nothing is missed
    try {
      const found = calls.outputs.after(callId, afterSequence) ?? (await readOutputs({ ctx, calls, callId, afterSequence }));
      const { outputs, lastSequence } = fit(found, input);
      afterSequence = Math.max(afterSequence, lastSequence);
      if (outputs.length > 0 || patience.isOver) return { outputs, lastSequence: afterSequence, unfinishedInputs: calls.unfinishedInputs(callId) };
      if (found.length > 0) continue; // none of them was asked for: there may be more
      await Promise.race([watch.changed, patience.over]);
    } finally {
      watch.stop();
    }
  }
}

function fit(found: readonly OutputRecord[], { range, maxValues }: AwaitOutputsInput): { outputs: OutputRecord[]; lastSequence: number } {
  const outputs: OutputRecord[] = [];
  const most = maxValues > 0 ? Math.min(maxValues, maxAnswerOutputs) : maxAnswerOutputs;
  let bytes = 0;
  let lastSequence = 0;
  for (const record of found) {
    const isWanted = range === undefined || (record.idx >= range.first && record.idx <= range.last);
    if (isWanted) {
      bytes += record.result.length;
      if (outputs.length > 0 && (outputs.length >= most || bytes > maxAnswerBytes)) break;
      outputs.push(record);
    }
    lastSequence = record.sequence;
  }
  return { outputs, lastSequence };
}

interface OutputsToRead {
  readonly ctx: ServiceContext<"objects">;
  readonly calls: CallEngine;
  readonly callId: Id<"functionCall">;
  readonly afterSequence: number;
}

async function readOutputs({ ctx, calls, callId, afterSequence }: OutputsToRead): Promise<OutputRecord[]> {
  const { rows } = await calls.sql.query({
    name: "outputs of a call",
    text: `SELECT o.input_id, i.idx, o.entry_sequence, o.result, o.result_object, o.data_format, o.container_id, o.started_at_ms, o.created_at_ms
           FROM output o JOIN input i ON i.id = o.input_id
           WHERE o.function_call_id = $1 AND o.entry_sequence > $2 ORDER BY o.entry_sequence LIMIT 256`,
    values: [callId, afterSequence],
  });
  const records: OutputRecord[] = [];
  let bytes = 0;
  for (const row of rows) {
    const record = await outputRecord(ctx.deps.objects, callId, row);
    records.push(record);
    bytes += record.result.length;
    if (bytes > maxAnswerBytes) break; // no more fits into the answer
  }
  return records;
}

async function outputRecord(objects: ObjectStore, callId: Id<"functionCall">, row: Row): Promise<OutputRecord> {
  const containerId = optionalTextOf(row, "container_id");
  return {
    inputId: asId("input", textOf(row, "input_id")),
    callId,
    idx: numberOf(row, "idx"),
    sequence: numberOf(row, "entry_sequence"),
    result: await readBytes(objects, optionalBytesOf(row, "result"), optionalTextOf(row, "result_object")),
    dataFormat: numberOf(row, "data_format"),
    containerId: containerId === undefined ? undefined : asId("container", containerId),
    startedAtMs: numberOf(row, "started_at_ms"),
    createdAtMs: numberOf(row, "created_at_ms"),
  };
}

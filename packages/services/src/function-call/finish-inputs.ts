import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { holdAtMost, maxHoldMs } from "../journal/journal.ts";
import type { CallEngine } from "./call-engine.ts";
import { fetchCall } from "./internal.ts";

/** The caller has sent all inputs of a map. Repeating is harmless. */
export async function finishInputs({
  ctx,
  input,
  calls,
}: {
  ctx: ServiceContext<never>;
  input: { readonly callId: string; readonly numInputs: number };
  calls: CallEngine;
}): Promise<void> {
  authorize(ctx, "functionCall", "write");
  const { callId } = await fetchCall(ctx, calls, input.callId);
  const stored = calls.journal.append({ callChanges: [{ callId, isClosed: true, numInputs: input.numInputs }] }).then(() => calls.closed(callId));
  await holdAtMost(stored, maxHoldMs);
}

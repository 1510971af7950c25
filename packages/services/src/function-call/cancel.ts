import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { holdAtMost, maxHoldMs } from "../journal/journal.ts";
import type { CallEngine } from "./call-engine.ts";
import { fetchCall } from "./internal.ts";

/** Ends a call: waiting inputs at once, running ones through their container, or with it when `terminateContainers`. Repeating is harmless. */
export async function cancelCall({
  ctx,
  input,
  calls,
}: {
  ctx: ServiceContext<"clock">;
  input: { readonly callId: string; readonly terminateContainers: boolean };
  calls: CallEngine;
}): Promise<void> {
  authorize(ctx, "functionCall", "write");
  const { callId } = await fetchCall(ctx, calls, input.callId);
  const stored = calls.journal.append({ callChanges: [{ callId, cancelledAtMs: ctx.deps.clock.now() }] }).then(() => {
    calls.cancelled(callId, { text: "The function call was cancelled.", terminateContainers: input.terminateContainers });
  });
  await holdAtMost(stored, maxHoldMs);
}

import { type Id, newId } from "@squall/core/ids";
import type { ServiceContext } from "../context.ts";
import type { InputRow } from "../journal/batch.ts";
import type { SubmittedInputWithPayload } from "./call-engine.ts";
import { storeBytes } from "./internal.ts";

export interface InputToSubmit {
  readonly idx: number;
  /** The client's FunctionInput message, unread. */
  readonly payload: Uint8Array;
}

export interface PreparedInputs {
  readonly rows: readonly InputRow[];
  readonly submitted: readonly SubmittedInputWithPayload[];
}

/** Gives ids and puts large payloads where they outlive a crash, so that the row may say where they are. */
export async function prepareInputs(
  ctx: ServiceContext<"objects" | "clock" | "random">,
  { callId, functionId, inputs, withCall }: { callId: Id<"functionCall">; functionId: Id<"function">; inputs: readonly InputToSubmit[]; withCall: boolean },
): Promise<PreparedInputs> {
  const createdAtMs = ctx.deps.clock.now();
  const rows = await Promise.all(
    inputs.map(async ({ idx, payload }): Promise<InputRow> => {
      const id = newId("input", ctx.deps);
      const stored = await storeBytes(ctx.deps.objects, payload, `payload/${id}`);
      return { id, workspaceId: ctx.workspace.id, callId, functionId, idx, payload: stored, sizeBytes: payload.length, createdAtMs, withCall };
    }),
  );
  const submitted = rows.map((row) => ({
    inputId: row.id,
    idx: row.idx,
    createdAtMs,
    payload: "bytes" in row.payload ? row.payload.bytes : undefined,
  }));
  return { rows, submitted };
}

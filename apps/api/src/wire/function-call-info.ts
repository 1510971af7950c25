import type { MessageInitShape } from "@bufbuild/protobuf";
import type { FunctionCallInfoSchema } from "@squall/protocol/modal";
import type { CallSummary } from "@squall/services/function-call/list";

/** Outcomes are not told apart here: they stand in the outputs. */
export function callInfoMessage({ callId, createdAtMs, totalInputs, pendingInputs }: CallSummary): MessageInitShape<typeof FunctionCallInfoSchema> {
  return { functionCallId: callId, createdAt: createdAtMs / 1000, totalInputs, pendingInputs: { total: pendingInputs } };
}

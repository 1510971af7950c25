/** The client's GenericResult: what dispatch must know of one that arrived, and those that we make ourselves. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { OutcomeKind } from "@squall/dispatch/events";
import { type GenericResult, GenericResultSchema, GenericResult_GenericStatus as Status } from "@squall/protocol/modal";

const statusOf = {
  success: Status.SUCCESS,
  failure: Status.FAILURE,
  timeout: Status.TIMEOUT,
  terminated: Status.TERMINATED,
  initFailure: Status.INIT_FAILURE,
  internal: Status.INTERNAL_FAILURE,
  outOfMemory: Status.KERNEL_OOM_KILL,
} satisfies Record<OutcomeKind, Status>;

export function decodeResult(bytes: Uint8Array): GenericResult {
  return fromBinary(GenericResultSchema, bytes);
}

/**
 * How the attempt came out, with a result that every reader can decode: bytes that are none are replaced by one that says so. A status that we do not
 * know counts as a failure of user code.
 */
export function readResult(bytes: Uint8Array): { readonly kind: OutcomeKind; readonly bytes: Uint8Array } {
  const status = statusIn(bytes);
  if (status === undefined) return { kind: "internal", bytes: makeResult("internal", "The container sent a result that cannot be read.") };
  for (const [kind, known] of Object.entries(statusOf)) if (known === status) return { kind: asOutcomeKind(kind), bytes };
  return { kind: "failure", bytes };
}

/** A result without data: `text` is all that the caller will read. */
export function makeResult(kind: OutcomeKind, text: string): Uint8Array {
  return toBinary(GenericResultSchema, create(GenericResultSchema, { status: statusOf[kind], exception: text }));
}

function statusIn(bytes: Uint8Array): Status | undefined {
  try {
    return decodeResult(bytes).status;
  } catch {
    return undefined;
  }
}

/** Keys of `statusOf` are outcome kinds: `satisfies Record<OutcomeKind, …>` says so, `Object.entries` forgets it. */
function asOutcomeKind(kind: string): OutcomeKind {
  return kind as OutcomeKind;
}

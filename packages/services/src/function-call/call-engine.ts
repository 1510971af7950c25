/** What the verbs of calls need of the process that owns the shard; implemented by the driver in the api. */
import type { Id } from "@squall/core/ids";
import type { SubmittedCall, SubmittedInput } from "@squall/dispatch/events";
import type { Journal } from "../journal/journal.ts";
import type { Sql } from "../journal/sql.ts";
import type { CallInfos } from "./call-info.ts";
import type { CallTarget, CallTargets } from "./call-target.ts";
import type { OutputLog } from "./output-log.ts";

export interface CallEngine {
  readonly journal: Journal;
  /** As the engine's role; held while the database is away. */
  readonly sql: Sql;
  readonly targets: CallTargets;
  readonly infos: CallInfos;
  readonly outputs: OutputLog;
  /** The call and its inputs are stored: they may run. Payloads are kept as far as memory allows. */
  submitted(target: CallTarget, call: SubmittedCall, inputs: readonly SubmittedInputWithPayload[]): void;
  /** The cancellation is stored: what waits ends, what runs is told. */
  cancelled(callId: Id<"functionCall">, how: { readonly text: string; readonly terminateContainers: boolean }): void;
  closed(callId: Id<"functionCall">): void;
  hasCall(callId: Id<"functionCall">): boolean;
  unfinishedInputs(callId: Id<"functionCall">): number;
  /** Whether a container works on any input of the call. */
  isRunning(callId: Id<"functionCall">): boolean;
  unfinishedInputsOf(workspaceId: Id<"workspace">): number;
}

export interface SubmittedInputWithPayload extends SubmittedInput {
  /** The client's FunctionInput message when it is small enough to be kept. */
  readonly payload: Uint8Array | undefined;
}

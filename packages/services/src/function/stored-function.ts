import type { Id } from "@squall/core/ids";
import { asId } from "@squall/core/ids";
import type { Transaction } from "@squall/db/database";

/** What the scheduler, dispatch and the agent decide by; the rest of a definition stays the client's message, unread. */
export interface FunctionColumns {
  readonly kind: "function" | "generator" | "class";
  readonly imageId: string | null;
  readonly mountIds: readonly string[];
  readonly secretIds: readonly string[];
  /** 0 when the user asked for nothing. */
  readonly milliCpu: number;
  /** 0 when the user asked for nothing. */
  readonly memoryBytes: number;
  readonly gpuType: string | null;
  readonly gpuCount: number;
  readonly timeoutMs: number;
  readonly startupTimeoutMs: number;
  readonly minContainers: number;
  readonly maxContainers: number | null;
  readonly bufferContainers: number;
  readonly scaledownWindowMs: number;
  readonly maxConcurrentInputs: number;
  readonly targetConcurrentInputs: number;
  readonly batchMaxSize: number;
  readonly batchLingerMs: number;
  readonly retryMax: number;
  readonly retryInitialDelayMs: number;
  readonly retryMaxDelayMs: number;
  readonly retryBackoff: number;
  readonly builderVersion: string;
  readonly blockNetwork: boolean;
}

/** A function of an app. `definition` is modal.client.Function as the client sent it. */
export interface StoredFunction extends FunctionColumns {
  readonly id: Id<"function">;
  readonly appId: Id<"app">;
  readonly environmentId: Id<"environment">;
  readonly tag: string;
  readonly state: "precreated" | "created";
  readonly definition: Uint8Array;
  readonly definitionId: string;
  readonly clientVersion: string;
}

type FunctionRow = Awaited<ReturnType<Transaction["function"]["findFirstOrThrow"]>>;

/** A row as a domain value: whole numbers instead of bigints, branded ids. */
export function fromRow(row: FunctionRow): StoredFunction {
  const { createdAtMs: _, workspaceId: __, ...columns } = row;
  return {
    ...columns,
    id: asId("function", row.id),
    appId: asId("app", row.appId),
    environmentId: asId("environment", row.environmentId),
    kind: row.kind === "generator" || row.kind === "class" ? row.kind : "function",
    state: row.state === "created" ? "created" : "precreated",
    memoryBytes: Number(row.memoryBytes),
    timeoutMs: Number(row.timeoutMs),
    startupTimeoutMs: Number(row.startupTimeoutMs),
  };
}

/** Columns in the types that the database client wants. */
export function toRow(columns: FunctionColumns) {
  return {
    ...columns,
    mountIds: [...columns.mountIds],
    secretIds: [...columns.secretIds],
    memoryBytes: BigInt(columns.memoryBytes),
    timeoutMs: BigInt(columns.timeoutMs),
    startupTimeoutMs: BigInt(columns.startupTimeoutMs),
  };
}

/** The function behind a call, as far as calls need it: immutable but for the app's state, so a short cache serves the hot path. */
import type { Clock } from "@squall/core/clock";
import type { Id } from "@squall/core/ids";
import { asId } from "@squall/core/ids";
import type { FunctionPolicy } from "@squall/dispatch/events";
import { numberOf, type Row, type Sql, textOf } from "../journal/sql.ts";

export interface CallTarget {
  readonly policy: FunctionPolicy;
  readonly environmentId: string;
  readonly appState: string;
  readonly isGenerator: boolean;
}

export async function readCallTargets(sql: Sql, functionIds: readonly string[]): Promise<CallTarget[]> {
  const { rows } = await sql.query({
    name: "call targets",
    text: `SELECT f.id, f.workspace_id, f.environment_id, f.app_id, f.kind, f.retry_max, f.retry_initial_delay_ms, f.retry_max_delay_ms, f.retry_backoff,
             f.batch_linger_ms, a.state AS app_state
           FROM function f JOIN app a ON a.id = f.app_id WHERE f.id = ANY($1::text[])`,
    values: [functionIds],
  });
  return rows.map(callTarget);
}

function callTarget(row: Row): CallTarget {
  return {
    policy: {
      functionId: asId("function", textOf(row, "id")),
      appId: asId("app", textOf(row, "app_id")),
      workspaceId: asId("workspace", textOf(row, "workspace_id")),
      retry: {
        max: numberOf(row, "retry_max"),
        initialDelayMs: numberOf(row, "retry_initial_delay_ms"),
        maxDelayMs: numberOf(row, "retry_max_delay_ms"),
        backoff: numberOf(row, "retry_backoff"),
      },
      batchLingerMs: numberOf(row, "batch_linger_ms"),
    },
    environmentId: textOf(row, "environment_id"),
    appState: textOf(row, "app_state"),
    isGenerator: textOf(row, "kind") === "generator",
  };
}

const cachedForMs = 5_000;
const maxCached = 10_000;

export class CallTargets {
  readonly #cached = new Map<string, { readonly target: CallTarget; readonly readAtMs: number }>();
  readonly #sql: Sql;
  readonly #clock: Clock;

  constructor(sql: Sql, clock: Clock) {
    this.#sql = sql;
    this.#clock = clock;
  }

  /** At most five seconds old; undefined when there is no such function. */
  async get(functionId: Id<"function">): Promise<CallTarget | undefined> {
    const nowMs = this.#clock.monotonic();
    const cached = this.#cached.get(functionId);
    if (cached !== undefined && nowMs - cached.readAtMs < cachedForMs) return cached.target;
    const [target] = await readCallTargets(this.#sql, [functionId]);
    if (target === undefined) return undefined;
    if (this.#cached.size >= maxCached) this.#cached.clear();
    this.#cached.set(functionId, { target, readAtMs: nowMs });
    return target;
  }
}

import type { ContainerState } from "@squall/core/container-lifecycle";
import type { Id } from "@squall/core/ids";
import type { ServiceDeps } from "../context.ts";

/** What is newly known of one container. Absent fields stay as they are. */
export interface ContainerChange {
  readonly containerId: Id<"container">;
  readonly state: ContainerState;
  readonly startedAtMs?: number | undefined;
  readonly readyAtMs?: number | undefined;
  readonly phases?: readonly { readonly name: string; readonly atMs: number }[] | undefined;
  readonly exit?: { readonly reason: string; readonly code: number; readonly message: string; readonly atMs: number } | undefined;
}

/** Writes changes of many containers in one statement. An exited container stays as it ended. */
export async function recordContainerChanges({ deps, changes }: { deps: Pick<ServiceDeps, "db">; changes: readonly ContainerChange[] }): Promise<void> {
  const column = <Value>(of: (change: ContainerChange) => Value): Value[] => changes.map(of);
  await deps.db.engine.query(
    `UPDATE container c SET state = n.state, started_at_ms = coalesce(c.started_at_ms, n.started_at_ms), ready_at_ms = coalesce(c.ready_at_ms, n.ready_at_ms),
       phases = coalesce(n.phases::jsonb, c.phases), exited_at_ms = n.exited_at_ms, exit_reason = n.exit_reason, exit_code = n.exit_code,
       exit_message = n.exit_message
     FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::text[], $8::int[], $9::text[])
       AS n (id, state, started_at_ms, ready_at_ms, phases, exited_at_ms, exit_reason, exit_code, exit_message)
     WHERE c.id = n.id AND c.state <> 'exited'`,
    [
      column((change) => change.containerId),
      column((change) => change.state),
      column((change) => change.startedAtMs ?? null),
      column((change) => change.readyAtMs ?? null),
      column((change) => (change.phases === undefined ? null : JSON.stringify(change.phases))),
      column((change) => change.exit?.atMs ?? null),
      column((change) => change.exit?.reason ?? null),
      column((change) => change.exit?.code ?? null),
      column((change) => change.exit?.message.slice(0, maxExitMessageLength) ?? null),
    ],
  );
}

const maxExitMessageLength = 4096;

/** The two changes as one, `later` winning. */
export function mergeChanges(earlier: ContainerChange | undefined, later: ContainerChange): ContainerChange {
  if (earlier === undefined) return later;
  return {
    containerId: later.containerId,
    state: later.state,
    startedAtMs: earlier.startedAtMs ?? later.startedAtMs,
    readyAtMs: earlier.readyAtMs ?? later.readyAtMs,
    phases: later.phases ?? earlier.phases,
    exit: later.exit ?? earlier.exit,
  };
}

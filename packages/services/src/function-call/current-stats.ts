import { authorize } from "../authorize.ts";
import type { ServiceContext } from "../context.ts";
import { numberOf } from "../journal/sql.ts";
import type { CallEngine } from "./call-engine.ts";
import { fetchTarget } from "./internal.ts";

/** Live containers of a function, whatever their state. */
export async function readStats({
  ctx,
  input,
  calls,
}: {
  ctx: ServiceContext<never>;
  input: { readonly functionId: string };
  calls: CallEngine;
}): Promise<{ readonly containers: number }> {
  authorize(ctx, "function", "read");
  const target = await fetchTarget(ctx, calls, input.functionId);
  const { rows } = await calls.sql.query({
    text: "SELECT count(*) AS containers FROM container WHERE function_id = $1 AND state <> 'exited'",
    values: [target.policy.functionId],
  });
  return { containers: rows[0] === undefined ? 0 : numberOf(rows[0], "containers") };
}

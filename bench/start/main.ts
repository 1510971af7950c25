/** How fast containers start: the container alone beside runc, then a cold Python function through the whole product, by phase. */
import type { Benchmark } from "../src/report.ts";
import { coldCallRows } from "./cold-call.ts";
import { containerStartRows } from "./container-start.ts";

export const benchmark: Benchmark = {
  run: async (say) => [...(await containerStartRows(say)), ...(await coldCallRows(say))],
};

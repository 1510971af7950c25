/** How fast containers start: a cold Python function through the whole product, by phase. */
import type { Benchmark } from "../src/report.ts";
import { coldCallRows } from "./cold-call.ts";

export const benchmark: Benchmark = {
  run: (say) => coldCallRows(say),
};

/** RPCs of the container runtime that its worker does not answer itself. */
import type { ModalClient } from "@squall/protocol/modal";
import { type Procedures, procedure } from "../procedure.ts";

export function containerProcedures() {
  return {
    /** Asked every few seconds when a function allows more inputs at once than it aims at: the aim, until load is measured. */
    functionGetDynamicConcurrency: procedure({ resource: "function", action: "read" }, async (request) => {
      return { concurrency: Math.max(1, request.targetConcurrency || request.maxConcurrency) };
    }),
  } satisfies Procedures<typeof ModalClient>;
}

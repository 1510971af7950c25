import { ServiceError } from "@squall/core/errors";
import { type Id, isId } from "@squall/core/ids";
import type { AutoscalerSettings, ModalClient } from "@squall/protocol/modal";
import { getScaling, type ScalingSettings, updateScaling } from "@squall/services/function/scaling";
import type { RunningCluster } from "../agents/start-cluster.ts";
import { type Procedures, procedure } from "../procedure.ts";

/** The autoscaler's bounds of one function, changed while it runs. */
export function functionScalingProcedures({ lifecycle }: { lifecycle: Pick<RunningCluster, "scalingChanged"> }) {
  return {
    functionUpdateSchedulingParams: procedure({ resource: "function", action: "write" }, async ({ functionId, settings, warmPoolSizeOverride }, { ctx }) => {
      const id = functionIdOf(functionId);
      const asked: Partial<AutoscalerSettings> = settings ?? { minContainers: warmPoolSizeOverride };
      const now = await updateScaling({ ctx, input: { functionId: id, settings: settingsFrom(asked) } });
      await lifecycle.scalingChanged(id);
      return { currentSettings: settingsTo(now) };
    }),

    functionGetSchedulingParams: procedure({ resource: "function", action: "read" }, async ({ functionId }, { ctx }) => {
      return { autoscalerConfiguration: { settings: settingsTo(await getScaling({ ctx, input: { functionId: functionIdOf(functionId) } })) } };
    }),
  } satisfies Procedures<typeof ModalClient>;
}

function settingsFrom({ minContainers, maxContainers, bufferContainers, scaledownWindow }: Partial<AutoscalerSettings>): ScalingSettings {
  return { minContainers, maxContainers, bufferContainers, scaledownWindowMs: scaledownWindow === undefined ? undefined : scaledownWindow * 1000 };
}

function settingsTo({ minContainers, maxContainers, bufferContainers, scaledownWindowMs }: ScalingSettings) {
  return {
    ...(minContainers === undefined ? {} : { minContainers }),
    ...(maxContainers === undefined ? {} : { maxContainers }),
    ...(bufferContainers === undefined ? {} : { bufferContainers }),
    ...(scaledownWindowMs === undefined ? {} : { scaledownWindow: Math.round(scaledownWindowMs / 1000) }),
  };
}

function functionIdOf(text: string): Id<"function"> {
  if (!isId("function", text)) throw new ServiceError("invalidArgument", `${JSON.stringify(text.slice(0, 80))} is not the id of a function.`);
  return text;
}

import { asId } from "@squall/core/ids";
import { expect, test } from "vitest";
import { inContainer, useServices } from "../../test/test-context.ts";
import { createApp } from "../app-definition/create.ts";
import { getAppLayout } from "../app-definition/layout.ts";
import type { ServiceContext } from "../context.ts";
import { createEnvironment } from "../environment/create.ts";
import { createFunction } from "./create.ts";
import { getFunction } from "./get.ts";
import type { FunctionColumns } from "./stored-function.ts";

const services = useServices();

const none = { imageId: null, mountIds: [], secretIds: [], gpuType: null, gpuCount: 0, maxContainers: null, minContainers: 0, bufferContainers: 0 } as const;
const size = {
  milliCpu: 125,
  memoryBytes: 1 << 27,
  timeoutMs: 1,
  startupTimeoutMs: 1,
  scaledownWindowMs: 1,
  maxConcurrentInputs: 1,
  targetConcurrentInputs: 1,
};
const retries = { retryMax: 0, retryInitialDelayMs: 0, retryMaxDelayMs: 0, retryBackoff: 1, batchMaxSize: 0, batchLingerMs: 0 };
const columns: FunctionColumns = { kind: "function", builderVersion: "2025.06", blockNetwork: false, ...none, ...size, ...retries };

async function appWithFunction(ctx: ServiceContext, environmentName: string) {
  const appId = await createApp({ ctx, input: { description: "", environmentName, state: "ephemeral", tags: {} } });
  const { id } = await createFunction({ ctx, input: { appId, tag: "f", definition: new Uint8Array(), columns } });
  return { appId, functionId: asId("function", id) };
}

test("code in a container reaches functions of its own environment by id, and no others", async () => {
  const { ctx } = await services().newWorkspace();
  await createEnvironment({ ctx, input: { name: "dev" } });
  const [own, neighbour, foreign] = [await appWithFunction(ctx, ""), await appWithFunction(ctx, ""), await appWithFunction(ctx, "dev")];
  const inside = inContainer(ctx, own.appId);
  expect(await getFunction({ ctx: inside, input: neighbour })).toMatchObject({ tag: "f" });
  await expect(getFunction({ ctx: inside, input: foreign })).rejects.toMatchObject({ code: "notFound" });
  await expect(getAppLayout({ ctx: inside, input: foreign })).rejects.toMatchObject({ code: "notFound" });
  await expect(createFunction({ ctx: inside, input: { appId: own.appId, tag: "g", definition: new Uint8Array(), columns } })).rejects.toMatchObject({
    code: "permissionDenied",
  });
});

import { expect, test } from "vitest";
import { inContainer, useServices, withKey, withRole } from "../../test/test-context.ts";
import { createApp } from "../app-definition/create.ts";
import { createEnvironment } from "./create.ts";
import { getEnvironment } from "./get.ts";
import { listEnvironments } from "./list.ts";

const services = useServices();

test("the empty name is the default environment", async () => {
  const { ctx, environmentId } = await services().newWorkspace();
  expect(await getEnvironment({ ctx, input: { name: "" } })).toMatchObject({ id: environmentId, name: "main", isDefault: true });
  await expect(getEnvironment({ ctx, input: { name: "Main" } })).rejects.toMatchObject({ code: "notFound", publicMessage: "Environment 'Main' not found." });
});

test("a new one is listed after the first; its name cannot be taken twice, but repeated", async () => {
  const { ctx } = await services().newWorkspace();
  services().deps.clock.advance(86_400_000_000); // behind the wall clock by which the workspace was made
  const once = withKey(ctx, "key-1");
  const dev = await createEnvironment({ ctx: once, input: { name: "dev" } });
  expect(await createEnvironment({ ctx: once, input: { name: "dev" } })).toEqual(dev);
  await expect(createEnvironment({ ctx, input: { name: "dev" } })).rejects.toMatchObject({ code: "alreadyExists" });
  expect((await listEnvironments({ ctx })).map(({ name }) => name)).toEqual(["main", "dev"]);
});

test("only owners and managers make one", async () => {
  const { ctx } = await services().newWorkspace();
  await expect(createEnvironment({ ctx: withRole(ctx, "member"), input: { name: "dev" } })).rejects.toMatchObject({ code: "permissionDenied" });
});

test.each(["", "a b", "../x", "x".repeat(65), "en-0123456789ABCDEFGHIJKL"])("the name %j is refused", async (name) => {
  const { ctx } = await services().newWorkspace();
  await expect(createEnvironment({ ctx, input: { name } })).rejects.toMatchObject({ code: "invalidArgument" });
});

test("another workspace's environments do not exist", async () => {
  const { ctx: theirs } = await services().newWorkspace();
  await createEnvironment({ ctx: theirs, input: { name: "dev" } });
  const { ctx } = await services().newWorkspace();
  await expect(getEnvironment({ ctx, input: { name: "dev" } })).rejects.toMatchObject({ code: "notFound" });
  expect(await listEnvironments({ ctx })).toHaveLength(1);
});

test("code in a container sees the environment of its app, by any way of asking", async () => {
  const { ctx } = await services().newWorkspace();
  await createEnvironment({ ctx, input: { name: "dev" } });
  const inside = inContainer(ctx, await createApp({ ctx, input: { description: "", environmentName: "dev", state: "ephemeral", tags: {} } }));
  expect(await getEnvironment({ ctx: inside, input: { name: "" } })).toMatchObject({ name: "dev" });
  expect((await listEnvironments({ ctx: inside })).map(({ name }) => name)).toEqual(["dev"]);
  await expect(getEnvironment({ ctx: inside, input: { name: "main" } })).rejects.toMatchObject({ code: "notFound" });
});

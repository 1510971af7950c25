import { create } from "@bufbuild/protobuf";
import { DesiredContainerSchema } from "@squall/protocol/agent";
import { describe, expect, test } from "vitest";
import { type ContainerHook, prepareAll, releaseAll, type StartPlan } from "./hook.ts";

function planOf(): StartPlan {
  return {
    desired: create(DesiredContainerSchema, { containerId: "ta-1" }),
    binds: [],
    environment: {},
    devices: [],
    lowers: [],
    uidBase: undefined,
    network: undefined,
    mark: () => {},
  };
}

function recorder(log: string[], name: string, options: { failsToPrepare?: boolean; failsToRelease?: boolean } = {}): ContainerHook {
  return {
    name,
    async prepare() {
      log.push(`+${name}`);
      if (options.failsToPrepare) throw new Error("no room");
    },
    async release() {
      log.push(`-${name}`);
      if (options.failsToRelease) throw new Error("busy");
    },
  };
}

describe("hooks", () => {
  test("a failing hook ends the start with its name, and later ones never run", async () => {
    const log: string[] = [];
    const hooks = [recorder(log, "image"), recorder(log, "files", { failsToPrepare: true }), recorder(log, "network")];
    await expect(prepareAll(hooks, planOf(), new AbortController().signal)).rejects.toThrow("files: no room");
    expect(log).toEqual(["+image", "+files"]);
  });

  test("release runs last first and goes on after a failure", async () => {
    const log: string[] = [];
    const hooks = [recorder(log, "image"), recorder(log, "files", { failsToRelease: true }), recorder(log, "network")];
    const failures = await releaseAll(hooks, "ta-1");
    expect(log).toEqual(["-network", "-files", "-image"]);
    expect(failures.map((failure) => failure.message)).toEqual(["release of files: busy"]);
  });

  test("a start that is given up runs no further hook", async () => {
    const log: string[] = [];
    const controller = new AbortController();
    const first: ContainerHook = { name: "image", prepare: async () => controller.abort(new Error("stopped")), release: async () => {} };
    await expect(prepareAll([first, recorder(log, "files")], planOf(), controller.signal)).rejects.toThrow("stopped");
    expect(log).toEqual([]);
  });
});

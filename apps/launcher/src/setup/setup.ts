import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { buildNative } from "@squall/native/build";
import { lockFile } from "../file-lock.ts";
import { type Paths, repository } from "../paths.ts";
import { say } from "../say.ts";
import { runPackageScript, runScript } from "./run-script.ts";
import { currentResult, runStep, type SetupStep } from "./stamped-step.ts";

/** What set-up made, for the processes that need it. */
export interface SetupResult {
  /** Path of the `squall-native` program. */
  readonly nativePath: string;
}

/**
 * Brings everything that is built to the state of the sources: generated code in this clone, the native program, the base image and the client
 * bundle in the cache. Steps whose result is current cost a hash of their inputs. One set-up at a time on a machine.
 */
export async function setUp(paths: Paths): Promise<SetupResult> {
  const steps = stepsFor(paths);
  const results = () => steps.map((step) => currentResult(step, paths.cache));
  if (results().includes(undefined)) await runMissing(steps, paths);
  return { nativePath: currentResult(steps[2], paths.cache) ?? "" };
}

async function runMissing(steps: readonly SetupStep[], { cache }: Paths): Promise<void> {
  mkdirSync(cache, { recursive: true });
  const lockPath = join(cache, "setup.lock");
  const lock = (await lockFile(lockPath, { wait: false })) ?? (await waitForOther(lockPath));
  const total = Number(process.env["SQUALL_SETUP_STEPS"] ?? steps.length);
  for (const [index, step] of steps.entries()) {
    if (currentResult(step, cache) === undefined) await runStep(step, cache, `${total - steps.length + index + 1}/${total}`);
  }
  await lock?.release();
}

async function waitForOther(lockPath: string) {
  say("another set-up is running on this machine: waiting for it");
  return lockFile(lockPath, { wait: true });
}

function stepsFor({ cache }: Paths): readonly [SetupStep, SetupStep, SetupStep, SetupStep, SetupStep] {
  return [
    {
      name: "protocol",
      title: "contract: messages from the pinned client's descriptors",
      inputs: ["packages/protocol/modal-client.json", "packages/protocol/package.json", "packages/protocol/scripts/*", "packages/protocol/proto/**/*.proto"],
      run: async () => {
        await runPackageScript("protocol", "generate");
        return join(repository, "packages/protocol/generated");
      },
    },
    {
      name: "db",
      title: "database client from the schema",
      inputs: ["packages/db/package.json", "packages/db/prisma.config.ts", "packages/db/prisma/**/*.prisma"],
      run: async () => {
        await runPackageScript("db", "generate");
        return join(repository, "packages/db/generated");
      },
    },
    {
      name: "native",
      title: "native program: gcc, about 10 s",
      inputs: ["packages/native/c/*", "packages/native/src/build.ts"],
      run: () => buildNative({ cacheDir: cache }),
    },
    {
      name: "base-image",
      title: "base image: Debian bookworm with Python 3.11, about 560 MB",
      inputs: ["packages/imagefs/src/{base-image,build-base,debian-mirror}.ts", "packages/imagefs/scripts/*"],
      run: () => runScript("packages/imagefs/src/build-base.ts", ["--cache", cache]),
    },
    {
      name: "client-bundle",
      title: "client and its dependencies for containers, about 50 MB",
      inputs: [
        "packages/protocol/modal-client.json",
        "packages/imagefs/src/client-bundle*.ts",
        "packages/imagefs/src/build-bundle.ts",
        "packages/imagefs/scripts/*",
      ],
      run: async () => bundlePath(await runScript("packages/imagefs/src/build-bundle.ts", ["--cache", cache])),
    },
  ];
}

/** `build-bundle.ts` prints where the two halves of the bundle lie; they are made together. */
function bundlePath(output: string): string {
  const { depsPath }: { depsPath: string } = JSON.parse(output);
  return depsPath;
}

import { once } from "node:events";
import type { UpOptions } from "./arguments.ts";
import { firstCallLines } from "./first-call.ts";
import type { Paths } from "./paths.ts";
import { say, seconds } from "./say.ts";
import { setUp } from "./setup/setup.ts";
import { productPrograms } from "./stack/services.ts";
import { Stack, type StackOptions } from "./stack/stack.ts";

/** What a shell expects of a program that Ctrl-C ended before it was done. */
const interruptedCode = 130;

/** `./squall up`: set-up, start, wait for SIGINT or SIGTERM, stop. Answers the exit code. */
export async function up(paths: Paths, options: UpOptions): Promise<number> {
  const interrupted = interruption();
  const setup = await Promise.race([setUp(paths), interrupted]);
  if (setup === "interrupted") return interruptedCode;
  return runStack({ paths, up: options, setup, programs: productPrograms(setup) }, { json: options.json, interrupted });
}

/** Runs a stack until it is interrupted: prints the ready line or the first call when all is healthy, stops everything at the end. */
export async function runStack(
  options: StackOptions,
  { json, interrupted }: { readonly json: boolean; readonly interrupted: Promise<"interrupted"> },
): Promise<number> {
  const startedAt = performance.now();
  const stack = await Stack.open(options);
  const started = await Promise.race([stack.start(), interrupted]).catch(async (error: unknown) => {
    await stack.stop();
    throw error;
  });
  if (started === "interrupted") {
    await stopAndSay(stack);
    return interruptedCode;
  }
  say(`ready in ${seconds(performance.now() - startedAt)}`);
  process.stdout.write(json ? `${JSON.stringify(readyLine(stack))}\n` : firstCallLines(stack));
  await interrupted;
  await stopAndSay(stack);
  return 0;
}

async function stopAndSay(stack: Stack): Promise<void> {
  const startedAt = performance.now();
  say("stopping");
  await stack.stop();
  say(`stopped in ${seconds(performance.now() - startedAt)}; the state stays in ${stack.home}`);
}

/** The one line of `--json`. `login_url` is null until there is a console to log in to. */
function readyLine(stack: Stack): Record<string, unknown> {
  return {
    ready: true,
    server_url: stack.serverUrl,
    console_url: stack.serverUrl,
    login_url: null,
    ...stack.instance.operator,
    home: stack.home,
    instance: stack.instance.name,
    processes: stack.processes(),
  };
}

/** Resolves at the first SIGINT, SIGTERM or SIGHUP; later ones change nothing, since stopping is bounded already. */
export async function interruption(): Promise<"interrupted"> {
  const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const name of names) process.on(name, () => {});
  await Promise.race(names.map((name) => once(process, name)));
  return "interrupted";
}

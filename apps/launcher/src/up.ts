import { once } from "node:events";
import type { UpOptions } from "./arguments.ts";
import { firstCallLines } from "./first-call.ts";
import type { Paths } from "./paths.ts";
import { say, seconds } from "./say.ts";
import { setUp } from "./setup/setup.ts";
import { type RunningStack, startStack } from "./stack/stack.ts";

/** `./squall up`: set-up, start, wait for SIGINT or SIGTERM, stop. Answers the exit code. */
export async function up(paths: Paths, options: UpOptions): Promise<number> {
  const interrupted = interruption();
  const startedAt = performance.now();
  const setup = await Promise.race([setUp(paths), interrupted]);
  if (setup === "interrupted") return 130;
  const stack = await startStack(paths, options, setup, interrupted);
  if (stack === "interrupted") return 130;
  say(`ready in ${seconds(performance.now() - startedAt)}`);
  if (options.json) process.stdout.write(`${JSON.stringify(readyLine(stack))}\n`);
  else process.stdout.write(firstCallLines(stack));
  await interrupted;
  const stoppingAt = performance.now();
  say("stopping");
  await stack.stop();
  say(`stopped in ${seconds(performance.now() - stoppingAt)}; the state stays in ${paths.home}`);
  return 0;
}

/** The one line of `--json`. `login_url` is null until there is a console to log in to. */
function readyLine(stack: RunningStack): Record<string, unknown> {
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

/** Resolves at the first SIGINT or SIGTERM; later ones change nothing, since stopping is bounded already. */
async function interruption(): Promise<"interrupted"> {
  process.on("SIGHUP", () => process.kill(process.pid, "SIGTERM"));
  const stay = () => {};
  process.on("SIGINT", stay).on("SIGTERM", stay);
  await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  return "interrupted";
}

/** The launcher: what `./squall` runs once Node and the packages are there. */
import { parseBench, parseDoctor, parseTest, parseUp } from "./arguments.ts";
import { pathsFrom } from "./paths.ts";
import { LauncherError, say } from "./say.ts";

const [command = "", ...args] = process.argv.slice(2);
const paths = pathsFrom(process.env);

/** Each command is loaded on its own: `doctor` must run on a machine on which the packages are not installed. */
async function run(): Promise<number> {
  switch (command) {
    case "up":
      return (await import("./up.ts")).up(paths, parseUp(args));
    case "test":
      return (await import("./test/test.ts")).test(paths, parseTest(args));
    case "bench":
      return (await import("./bench.ts")).bench(paths, parseBench(args));
    case "doctor":
      return (await import("./doctor/doctor.ts")).doctor(paths, parseDoctor(args));
    default:
      throw new LauncherError(`no command ${command}`, 64);
  }
}

try {
  process.exit(await run());
} catch (error) {
  if (!(error instanceof LauncherError)) throw error;
  say(error.message);
  process.exit(error.exitCode);
}

/** `up --json` with stand-ins for api and agent: the launcher's own part of a stack, with a real PostgreSQL. */
import { parseUp } from "../src/arguments.ts";
import { pathsFrom } from "../src/paths.ts";
import { interruption, runStack } from "../src/up.ts";

const options = parseUp(process.argv.slice(2));
process.exit(
  await runStack(
    {
      paths: pathsFrom(process.env),
      up: options,
      setup: { nativePath: "" },
      programs: { api: "apps/launcher/test/stand-in-api.ts", agent: "apps/launcher/test/stand-in-agent.ts", agentPrefix: [] },
    },
    { json: true, interrupted: interruption() },
  ).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }),
);

import type { Paths } from "../paths.ts";
import { readFacts } from "./facts.ts";
import { type Finding, isFit, judge } from "./judge.ts";

const words = { ok: "ok", missing: "MISSING", tooOld: "TOO OLD", tooSmall: "TOO SMALL", unknown: "not tried" } as const;

/** `./squall doctor`: one line for each thing, with the command that mends it. Answers 1 when something required is wanting. */
export async function doctor(paths: Paths, { json }: { readonly json: boolean }): Promise<number> {
  const findings = judge(await readFacts(paths));
  const fit = isFit(findings);
  if (json) process.stdout.write(`${JSON.stringify({ fit, findings })}\n`);
  else
    process.stdout.write(
      `${findings.map(line).join("\n")}\n\n${fit ? "This machine can run Squall." : "This machine cannot run Squall yet: see the lines above."}\n`,
    );
  return fit ? 0 : 1;
}

function line({ name, state, isRequired, found, mend }: Finding): string {
  const verdict = state !== "ok" && !isRequired ? `${words[state]} (optional)` : words[state];
  return `${name.padEnd(26)} ${verdict.padEnd(20)} ${found}${mend ? `\n${"".padEnd(27)}-> ${mend}` : ""}`;
}

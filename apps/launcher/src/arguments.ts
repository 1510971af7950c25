import { parseArgs } from "node:util";
import { LauncherError } from "./say.ts";

export interface UpOptions {
  readonly port: number;
  readonly host: string;
  /** "A100=2": pretended GPUs. */
  readonly fakeGpus: readonly string[];
  readonly json: boolean;
}

export interface TestOptions {
  readonly long: boolean;
  readonly only: string | undefined;
}

const usage = 64;

export function parseUp(args: readonly string[]): UpOptions {
  const { values } = parse(args, {
    port: { type: "string", default: "4700" },
    host: { type: "string", default: "127.0.0.1" },
    "fake-gpu": { type: "string", multiple: true, default: [] },
    json: { type: "boolean", default: false },
  });
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new LauncherError(`--port wants a number from 0 to 65535, not ${values.port}`, usage);
  for (const gpu of values["fake-gpu"]) {
    if (!/^[A-Za-z0-9-]{1,32}=[1-9][0-9]{0,2}$/.test(gpu)) throw new LauncherError(`--fake-gpu wants TYPE=COUNT, for example A100=2, not ${gpu}`, usage);
  }
  return { port, host: values.host, fakeGpus: values["fake-gpu"], json: values.json };
}

export function parseTest(args: readonly string[]): TestOptions {
  const { values } = parse(args, { long: { type: "boolean", default: false }, only: { type: "string" } });
  return { long: values.long, only: values.only };
}

export function parseBench(args: readonly string[]): { readonly list: boolean; readonly name: string | undefined; readonly rest: readonly string[] } {
  const [name, ...rest] = args;
  return { list: args.includes("--list"), name: name?.startsWith("--") ? undefined : name, rest };
}

export function parseDoctor(args: readonly string[]): { readonly json: boolean } {
  return { json: parse(args, { json: { type: "boolean", default: false } }).values.json };
}

/** `parseArgs` of Node, with a short text instead of a stack trace for a mistyped option. */
function parse<Options extends NonNullable<Parameters<typeof parseArgs>[0]>["options"] & {}>(args: readonly string[], options: Options) {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false });
  } catch (error) {
    throw new LauncherError(error instanceof Error ? error.message : String(error), usage);
  }
}

/** The keeper's command line. */

/** Where a door listens. `port` 0 takes a free one. */
export type DoorAddress = { readonly kind: "tcp"; readonly host: string; readonly port: number } | { readonly kind: "unix"; readonly path: string };

export interface KeeperOptions {
  readonly name: string;
  readonly doors: ReadonlyMap<string, DoorAddress>;
  /** While this file exists the child is kept away. */
  readonly holdFile: string | undefined;
  /** Holds the pid of the present child; absent while there is none. */
  readonly pidFile: string | undefined;
  /** Added to the child's environment; `{NAME.port}` in a value stands for the port that door NAME got. */
  readonly env: ReadonlyMap<string, string>;
  /** How long the child may take to end after SIGTERM before it is killed. */
  readonly stopTimeoutMs: number;
  readonly command: readonly [string, ...string[]];
}

/** Parses `--name N --door NAME=tcp:HOST:PORT --door NAME=unix:PATH --hold F --pid-file F --env K=V --stop-timeout-ms N -- COMMAND…`. Throws with a text that names the fault. */
export function parseArguments(args: readonly string[]): KeeperOptions {
  const end = args.indexOf("--");
  const [command, ...commandArgs] = end < 0 ? [] : args.slice(end + 1);
  if (command === undefined) throw new Error("keeper: no command after --");
  const flags = args.slice(0, end);
  const doors = new Map<string, DoorAddress>();
  const env = new Map<string, string>();
  const single = new Map<string, string>();
  for (let index = 0; index < flags.length; index += 2) {
    const flag = flags[index] ?? "";
    const value = flags[index + 1];
    if (value === undefined) throw new Error(`keeper: ${flag} needs a value`);
    if (flag === "--door") doors.set(...pair(flag, value, parseAddress));
    else if (flag === "--env") env.set(...pair(flag, value, (text) => text));
    else if (["--name", "--hold", "--pid-file", "--stop-timeout-ms"].includes(flag)) single.set(flag, value);
    else throw new Error(`keeper: unknown option ${flag}`);
  }
  return {
    name: single.get("--name") ?? "child",
    doors,
    env,
    holdFile: single.get("--hold"),
    pidFile: single.get("--pid-file"),
    stopTimeoutMs: Number(single.get("--stop-timeout-ms") ?? 8000),
    command: [command, ...commandArgs],
  };
}

function pair<Value>(flag: string, text: string, parse: (text: string) => Value): [string, Value] {
  const equals = text.indexOf("=");
  if (equals < 1) throw new Error(`keeper: ${flag} wants NAME=VALUE, not ${text}`);
  return [text.slice(0, equals), parse(text.slice(equals + 1))];
}

function parseAddress(text: string): DoorAddress {
  const unix = /^unix:(.+)$/.exec(text);
  if (unix?.[1]) return { kind: "unix", path: unix[1] };
  const tcp = /^tcp:(.+):(\d{1,5})$/.exec(text);
  if (tcp?.[1] && tcp[2]) return { kind: "tcp", host: tcp[1].replace(/^\[(.*)\]$/, "$1"), port: Number(tcp[2]) };
  throw new Error(`keeper: a door is tcp:HOST:PORT or unix:PATH, not ${text}`);
}

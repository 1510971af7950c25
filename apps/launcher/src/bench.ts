import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type Paths, repository } from "./paths.ts";
import { LauncherError } from "./say.ts";
import { setUp } from "./setup/setup.ts";

/** `./squall bench NAME` runs `bench/NAME` after set-up and passes its output through; `--list` names the benchmarks, one a line. */
export async function bench(
  paths: Paths,
  { list, name, rest }: { readonly list: boolean; readonly name: string | undefined; readonly rest: readonly string[] },
): Promise<number> {
  const names = benchmarks();
  if (list) {
    process.stdout.write(`${names.join("\n")}\n`);
    return 0;
  }
  if (name === undefined || !names.includes(name)) throw new LauncherError(`no benchmark ${name ?? "named"}; there are: ${names.join(", ")}`, 64);
  const { nativePath } = await setUp(paths);
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", join(repository, "bench/run.ts"), name, ...rest], {
    cwd: repository,
    env: { ...process.env, SQUALL_CACHE: paths.cache, SQUALL_NATIVE: nativePath },
    stdio: "inherit",
  });
  const [code] = await once(child, "exit");
  return typeof code === "number" ? code : 1;
}

/** A benchmark is a folder of bench/ with a main.ts. */
function benchmarks(): string[] {
  const folder = join(repository, "bench");
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, "main.ts")))
    .sort();
}

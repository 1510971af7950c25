import type { Spawner } from "@squall/native/spawner";
import { RuntimeError } from "./error.ts";

/** An installed OCI runtime. The shim drives it: `run --detach`, `delete`. */
export interface OciRuntime {
  readonly name: "crun" | "runc";
  readonly path: string;
  /** "crun 1.8.1" */
  readonly description: string;
}

const searchPath = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];

/** Finds the runtime, asks its version and makes its program read-only in this mount namespace; rejects with what to install when there is none. */
export async function openOciRuntime(options: { name: OciRuntime["name"]; nativePath: string; spawner: Spawner }): Promise<OciRuntime> {
  const { name, nativePath, spawner } = options;
  for (const dir of searchPath) {
    const { code, stdout } = await spawner.run([`${dir}/${name}`, "--version"]);
    if (code !== 0) continue;
    const protection = await spawner.run([nativePath, "protect", `${dir}/${name}`]);
    if (protection.code !== 0) throw new RuntimeError("protect runtime", protection.stderr);
    return { name, path: `${dir}/${name}`, description: `${name} ${/version ([^\s+]+)/.exec(stdout)?.[1] ?? "unknown"}` };
  }
  throw new RuntimeError("find runtime", `${name} is not installed: apt-get install ${name}`);
}

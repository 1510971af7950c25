/** Facts of the tree and bundle that this machine built: they are built on first use (under a minute). */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { pythonBase } from "./base-image.ts";
import { buildBase } from "./build-base.ts";
import { type ClientBundle, ClientVersionError, ensureClientBundle } from "./client-bundle.ts";
import { createRootSource } from "./root-source.ts";

const cacheDir = process.env["SQUALL_CACHE"] ?? "/var/cache/squall";
const toolchainPython = process.env["SQUALL_TOOLCHAIN_PYTHON"] ?? "python3";
const request = { cacheDir, clientVersion: "1.6.4", builderVersion: "2025.06", imageKey: pythonBase.imageKey, toolchainPython };
let tree: string;
let bundle: ClientBundle;

beforeAll(async () => {
  await buildBase({ cacheDir, toolchainPython, report: () => undefined });
  tree = (await createRootSource({ cacheDir }).resolve(pythonBase.imageKey)).treePath;
  bundle = await ensureClientBundle(request);
}, 240_000);

/** Runs a program in the tree with the bundle in its place and no environment of ours, in namespaces that end with it. */
function inside(script: string): string {
  const mounts = `mount -t tmpfs tmpfs "$1/mnt"; mkdir "$1/mnt/u" "$1/mnt/w" "$1/mnt/m"
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$1/mnt/u,workdir=$1/mnt/w" "$1/mnt/m"; cd "$1/mnt/m"; mkdir -p pkg __modal/deps
    mount --bind "$2" pkg; mount --bind "$3" __modal/deps; mount -t proc proc proc
    env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 PYTHONPATH=/root:/pkg chroot . sh -c "$4" 1>&2
    { cd ..; find u -name "*.pyc"; } >&2`;
  const args = ["--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-euc", `{ ${mounts}; } 2>&1`, "sh", tree];
  return execFileSync("unshare", [...args, bundle.pkgPath, bundle.depsPath, script], { encoding: "utf8" });
}

describe("the base tree", () => {
  test("has Python 3.11 as python, with pip, wheel, uv and a compiler on the path", () => {
    const output = inside("python --version; python -m pip --version; uv --version; command -v pip; command -v wheel; gcc --version | head -1");
    expect(output).toContain(`Python ${pythonBase.version}\n`);
    expect(output).toMatch(/pip \d+.*python 3\.11/);
    expect(output).toMatch(/uv \d+/);
    expect(output).toContain("/usr/local/bin/pip\n/usr/local/bin/wheel\ngcc ");
  });

  test("is merged-usr, world-readable at its root, and carries nothing of the machine that built it", () => {
    expect(execFileSync("readlink", [join(tree, "bin")], { encoding: "utf8" })).toBe("usr/bin\n");
    expect(statSync(tree).mode & 0o777).toBe(0o755);
    expect(readFileSync(join(tree, "etc/resolv.conf"), "utf8")).toBe("");
    expect(readFileSync(join(tree, "etc/apt/sources.list"), "utf8")).toMatch(/^(deb http:\/\/deb\.debian\.org\/\S+ \S+ main\n){3}$/);
    expect(readdirSync(join(tree, "etc/apt/apt.conf.d")).filter((name) => name.includes("mmdebstrap"))).toEqual([]);
    expect(readdirSync(join(tree, "dev"))).toEqual([]);
    expect(existsSync(join(tree, "usr/lib/python3.11/EXTERNALLY-MANAGED"))).toBe(false);
  });
});

describe("a start of the client in the tree", () => {
  test("compiles nothing: no .pyc is written anywhere", () => {
    const output = inside(
      'python -c "import modal._container_entrypoint, aiohttp, cbor2, ssl, json, asyncio, multiprocessing; print(modal.__version__, modal.__file__)"',
    );
    expect(output).toBe("1.6.4 /pkg/modal/__init__.py\n");
  });

  test("has the client's needs last on the path, and runs the image's own sitecustomize too", () => {
    const output = inside(`mkdir -p /root/x; echo 'print("image sitecustomize ran")' > /root/x/sitecustomize.py
      PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/pkg:/root/x python -c 'import sys; print(sys.path[-1])'`);
    expect(output).toBe("image sitecustomize ran\n/__modal/deps\n");
  });
});

describe("client versions", () => {
  test.each(["", "latest", "1.6.4; evil", "--index-url=http://x", "../../etc", "git+https://x", "1", "1.6.4\n"])(
    "%j never reaches pip",
    async (clientVersion) => {
      await expect(ensureClientBundle({ ...request, clientVersion })).rejects.toThrow(/is not a version of the modal client/);
    },
  );

  test("a version that the index does not have is a clear error", async () => {
    const error = await ensureClientBundle({ ...request, clientVersion: "1.6.9999" }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ClientVersionError);
    expect(String(error)).toMatch(/cannot get the modal client 1\.6\.9999 .*No matching distribution/);
  }, 60_000);

  test("two at once get the same bundle", async () => {
    const [one, two] = await Promise.all([ensureClientBundle(request), ensureClientBundle(request)]);
    expect(one).toEqual(two);
  });

  test("a bundle is owned by root and readable by everybody", () => {
    const unreadable = execFileSync(
      "find",
      [bundle.pkgPath, bundle.depsPath, "-not", "-perm", "-004", "-o", "-not", "-user", "0", "-o", "-perm", "/022", "-not", "-type", "l"],
      { encoding: "utf8" },
    );
    expect(unreadable).toBe("");
  });
});

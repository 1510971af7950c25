/**
 * Program: makes the bundle of the pinned client for the base image, so that the first call does not wait for it. `node build-bundle.ts [--cache DIR]`.
 * Environment: SQUALL_CACHE, SQUALL_TOOLCHAIN_PYTHON, as for build-base.ts.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { pythonBase } from "./base-image.ts";
import { ensureClientBundle } from "./client-bundle.ts";

const { values } = parseArgs({ options: { cache: { type: "string", default: process.env["SQUALL_CACHE"] ?? "/var/cache/squall" } } });
const pin: unknown = JSON.parse(readFileSync(join(import.meta.dirname, "../../protocol/modal-client.json"), "utf8"));
if (typeof pin !== "object" || pin === null || !("version" in pin)) throw new Error("modal-client.json names no version");
const bundle = await ensureClientBundle({
  cacheDir: values.cache,
  clientVersion: String(pin.version),
  builderVersion: "2025.06",
  imageKey: pythonBase.imageKey,
});
process.stdout.write(`${JSON.stringify(bundle)}\n`);

/** The base root file system that every image starts from until images are built: which one it is, and where it lies. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Debian bookworm with its own Python. Debian froze this patch version; the build fails when the archive answers with another. */
export const pythonBase = {
  imageKey: "base/python-3.11-bookworm",
  series: "3.11",
  version: "3.11.2",
  debian: "bookworm",
} as const;

/** The script that makes the tree. It is part of the tree's name: a changed recipe makes a new tree beside the old one. */
export const baseRecipePath = join(import.meta.dirname, "../scripts/make-base-root.sh");

/** Where the tree of an image lies: `<cacheDir>/images/<key>.<hash of the recipe>`. Throws on a key that is not ours. */
export function treePathOf(cacheDir: string, imageKey: string): string {
  if (imageKey !== pythonBase.imageKey) throw new Error(`unknown image ${imageKey}: this machine has ${pythonBase.imageKey}`);
  return join(cacheDir, "images", `${imageKey}.${recipeHash()}`);
}

function recipeHash(): string {
  return createHash("sha256").update(readFileSync(baseRecipePath)).digest("hex").slice(0, 12);
}

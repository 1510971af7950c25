/** Where root file systems come from: the one door between images and whoever mounts them. */
import { access } from "node:fs/promises";
import { treePathOf } from "./base-image.ts";

/** A root that can be mounted as the lower, read-only layer of containers. Nobody may write below `treePath`. */
export interface RootTree {
  readonly treePath: string;
}

/** Turns an image into a mountable root. The plain-tree form has folders; a lazy form will mount on demand behind the same interface. */
export interface RootSource {
  /** The tree of an image. Rejects with a text that names the image and the cure when it is not on this machine. */
  readonly resolve: (imageKey: string) => Promise<RootTree>;
}

/** Roots as plain folders below `cacheDir`, made beforehand by `build-base.ts`. */
export function createRootSource({ cacheDir }: { readonly cacheDir: string }): RootSource {
  const resolve = async (imageKey: string): Promise<RootTree> => {
    const treePath = treePathOf(cacheDir, imageKey);
    await access(treePath).catch((cause: unknown) => {
      throw new Error(`image ${imageKey} is not on this machine: build it with ./squall up`, { cause });
    });
    return { treePath };
  };
  return { resolve };
}

/** The image's root tree, and the client of the caller's version with its dependencies, all shared and read-only. */
import type { ContainerHook } from "./hook.ts";

export interface ImageSources {
  /** Path of the tree of an image that is on this machine or can be made here. */
  resolveTree(imageKey: string): Promise<string>;
  resolveBundle(input: { clientVersion: string; builderVersion: string; imageKey: string }): Promise<{ readonly pkgPath: string; readonly depsPath: string }>;
}

export const bundleTargets = { pkg: "/pkg", deps: "/__modal/deps" } as const;

export function imageHook(sources: ImageSources): ContainerHook {
  return {
    name: "image",
    async prepare({ desired, lowers, binds }) {
      const { imageKey, clientVersion, imageBuilderVersion: builderVersion } = desired;
      const [tree, bundle] = await Promise.all([sources.resolveTree(imageKey), sources.resolveBundle({ clientVersion, builderVersion, imageKey })]);
      lowers.push(tree);
      binds.push(
        { source: bundle.pkgPath, target: bundleTargets.pkg, readOnly: true },
        { source: bundle.depsPath, target: bundleTargets.deps, readOnly: true },
      );
    },
    async release() {
      // Trees and bundles are shared by all containers and stay.
    },
  };
}

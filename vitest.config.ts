import { defineConfig } from "vitest/config";

/** Two projects: `unit` beside the code of packages and apps; `e2e` against a running stack (`./squall test` starts it). */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["packages/*/{src,test,scripts,c}/**/*.test.ts", "apps/*/{src,test}/**/*.test.ts"],
          testTimeout: 30_000,
          hookTimeout: 120_000,
          pool: "forks",
        },
      },
      {
        test: {
          name: "e2e",
          include: ["e2e/**/*.test.ts"],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          fileParallelism: false,
          pool: "forks",
        },
      },
    ],
  },
});

import { defineConfig } from "vitest/config";

/** The tests that run inside a cell; ../containers.test.ts makes the cell and starts them there. */
export default defineConfig({
  test: { include: ["**/*.cell.ts"], pool: "forks", fileParallelism: false, testTimeout: 30_000, hookTimeout: 60_000 },
});

import { expect, test } from "vitest";
import { parseConfig } from "./config.ts";

const environment = {
  SQUALL_RUN: "/run/squall/abcdef",
  SQUALL_INSTANCE: "abcdef",
  SQUALL_PUBLIC_URL: "http://127.0.0.1:4700/",
  DATABASE_URL_APP: "postgresql://squall_app@/squall",
  DATABASE_URL_ENGINE: "postgresql://squall_engine@/squall",
};

test("what is not given has its default", () => {
  expect(parseConfig(environment)).toMatchObject({ homeDir: "/var/lib/squall", publicUrl: "http://127.0.0.1:4700", logLevel: "info" });
});

test("every fault is named at once", () => {
  const broken = { ...environment, SQUALL_INSTANCE: "../../etc", DATABASE_URL_APP: undefined };
  expect(() => parseConfig(broken)).toThrow(/SQUALL_INSTANCE[\s\S]*DATABASE_URL_APP|DATABASE_URL_APP[\s\S]*SQUALL_INSTANCE/);
});

import { expect, test } from "vitest";
import { sum, tallyVitest } from "./tally.ts";

test("the sums are the true sums", () => {
  expect(
    sum([
      { passed: 2, failed: 0 },
      { passed: 3, failed: 1 },
    ]),
  ).toEqual({ passed: 5, failed: 1 });
});

test("a runner without a report is a failure", () => {
  expect(tallyVitest(undefined, 0)).toEqual({ passed: 0, failed: 1 });
});

test("a runner that ends badly although no test failed is a failure", () => {
  expect(tallyVitest({ numPassedTests: 7, numFailedTests: 0, testResults: [] }, 1)).toEqual({ passed: 7, failed: 1 });
});

test("a file that does not load is a failure", () => {
  const report = { numPassedTests: 7, numFailedTests: 0, testResults: [{ status: "failed", assertionResults: [] }] };
  expect(tallyVitest(report, 1)).toEqual({ passed: 7, failed: 1 });
});

test("failed tests are counted once", () => {
  const report = { numPassedTests: 7, numFailedTests: 2, testResults: [{ status: "failed", assertionResults: [{ status: "failed" }, { status: "failed" }] }] };
  expect(tallyVitest(report, 1)).toEqual({ passed: 7, failed: 2 });
});

import { expect, test } from "vitest";
import { parseTest, parseUp } from "./arguments.ts";

test("up has a port, an address and no pretended GPU unless told otherwise", () => {
  expect(parseUp([])).toEqual({ port: 4700, host: "127.0.0.1", fakeGpus: [], json: false });
  expect(parseUp(["--port", "0", "--fake-gpu", "A100=2", "--fake-gpu", "H100=1", "--json"])).toMatchObject({
    port: 0,
    fakeGpus: ["A100=2", "H100=1"],
    json: true,
  });
});

test.each([["--port", "x"], ["--port", "70000"], ["--fake-gpu", "A100"], ["--fake-gpu", "A100=0"], ["--prot", "1"], ["extra"]])(
  "up refuses %s %s with a short text",
  (...args) => {
    expect(() => parseUp(args)).toThrowError(expect.objectContaining({ exitCode: 64 }));
  },
);

test("test takes --long and --only", () => {
  expect(parseTest(["--long", "--only", "unit"])).toEqual({ long: true, only: "unit" });
});

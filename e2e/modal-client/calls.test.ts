/** The published Python client calls functions in every way there is; each case is one `modal run` of `apps/calls.py`. */
import { beforeAll, describe, expect, test } from "vitest";
import { modal, modalRun, startModal } from "../src/modal-cli.ts";
import { type ReadyLine, sharedStack } from "../src/stack.ts";

let stack: ReadyLine;
beforeAll(() => {
  stack = sharedStack();
});

async function result(entry: string, file = "calls.py"): Promise<string> {
  const output = await modalRun(stack, `${file}::${entry}`);
  const line = output.split("\n").find((text) => text.startsWith("RESULT"));
  if (line === undefined) throw new Error(`no RESULT line:\n${output}`);
  return line.slice("RESULT ".length);
}

describe("modal run", { timeout: 150_000 }, () => {
  test("a remote call returns what the function returned", async () => {
    expect(await result("remote")).toBe("49 9");
  });

  test("a map over 1,000 inputs yields every result once, in order", async () => {
    expect(await result("map_thousand")).toBe("1000 True");
  });

  test("a map hands exceptions over as values of their own type", async () => {
    expect(await result("map_with_exceptions")).toBe("[('OwnError', 1), ('OwnError', 2)]");
  });

  test("a generator yields all its chunks before it ends", async () => {
    expect(await result("generator")).toBe("True");
  });

  test("a spawned call is found again by its id", async () => {
    expect(await result("spawn_and_get")).toBe("fc- 144 144");
  });

  test("waiting for a result gives up after the caller's own time-out", async () => {
    expect(await result("get_times_out")).toBe("TimeoutError");
  });

  test("a remote exception arrives as its own type with its fields", async () => {
    expect(await result("own_exception")).toBe("OwnError 42");
  });

  test("a failing input is tried again as often as the user asked", async () => {
    expect(await result("retries")).toBe("3");
  });

  test("the last failure is raised once the user's retries are used up", async () => {
    expect(await result("retries_run_out")).toBe("failed 3 times");
  });

  test("a secret made in the app is in the container's environment", async () => {
    expect(await result("secret")).toBe("('hello from a secret', '')");
  });

  test("a named secret made on the command line is in the container's environment", async () => {
    const created = await modal(stack, ["secret", "create", "--force", "e2e-named", "E2E_KEY=from the command line"]);
    expect(created, created.output).toMatchObject({ code: 0 });
    expect(await result("main", "named_secret.py")).toBe("from the command line");
    const listed = await modal(stack, ["secret", "list"]);
    expect(listed.output).toContain("e2e-named");
    expect(listed.output).not.toContain("from the command line");
  });

  test("30 MB arguments and results travel whole", async () => {
    expect(await result("thirty_megabytes")).toBe(`${30 << 20} True`);
  });

  test("a function calls another function", async () => {
    expect(await result("nested")).toBe("37");
  });

  test("a function calls itself: fib(6)", async () => {
    expect(await result("recursive")).toBe("8");
  });

  test("a class is entered once and its method answers", async () => {
    expect(await result("cls")).toBe("42");
  });

  test("a function that asks for a GPU runs on a fake one", async () => {
    expect(await result("gpu")).toContain("NVIDIA_VISIBLE_DEVICES");
  });

  test("an input that takes too long ends with the client's time-out error", async () => {
    expect(await result("input_times_out")).toMatch(/^FunctionTimeoutError .*2 s/);
  });

  test("a cancelled call ends with an error that says so", async () => {
    expect(await result("cancel")).toMatch(/cancel/i);
  });

  test("logs reach the terminal while the function still runs", async () => {
    const run = startModal(stack, ["run", "calls.py::logs"]);
    const first = await run.saw("first line");
    const last = await run.saw("last line: päth ✓");
    expect(last - first).toBeGreaterThan(1_000);
    const finished = await run.finished;
    expect(finished.code, finished.output).toBe(0);
    expect(finished.output).toContain("to standard error");
    expect(finished.output.split("first line").length).toBe(2);
  });

  test("a function that fits on no worker says why it waits", async () => {
    const run = startModal(stack, ["run", "calls.py::unplaceable"], { timeoutMs: 60_000 });
    await run.saw("H100", 30_000);
    expect(run.output()).toMatch(/8 ?[x×] ?H100/);
    run.process.kill("SIGINT");
    await run.finished;
  });
});

/** Bad input gets a clear error that names the object and the next step; nothing hangs. */
import { Channel } from "@squall/grpc/client";
import { defaultMaxMessageBytes } from "@squall/grpc/framing";
import { statusCode } from "@squall/grpc/handler";
import { AgentLink } from "@squall/protocol/agent";
import { ModalClient } from "@squall/protocol/modal";
import { beforeAll, describe, expect, test } from "vitest";
import { modal, startPython } from "../src/modal-cli.ts";
import { type ReadyLine, sharedStack } from "../src/stack.ts";

let stack: ReadyLine;
beforeAll(() => {
  stack = sharedStack();
});

async function errorOf(target: string): Promise<string> {
  const finished = await modal(stack, ["run", target], { timeoutMs: 100_000 });
  const at = finished.output.indexOf("ERROR ");
  if (at < 0) throw new Error(`no ERROR line (ended with ${finished.code ?? finished.signal}):\n${finished.output}`);
  return finished.output.slice(at + "ERROR ".length);
}

describe("bad input", { timeout: 120_000 }, () => {
  test("a wrong token is refused by name, at once", async () => {
    const finished = await modal(stack, ["run", "calls.py::remote"], { env: { MODAL_TOKEN_SECRET: "as-wrong" }, timeoutMs: 20_000 });
    expect(finished.code, finished.output).toBe(1);
    expect(finished.output).toMatch(/token/i);
  });

  test("an unknown app is named", async () => {
    const finished = await startPython(stack, ["lookup.py"], { timeoutMs: 30_000 }).finished;
    expect(finished.output).toMatch(/ERROR NotFoundError .*no-such-app/s);
  });

  test("a module that cannot be imported ends the call with its traceback, after a bounded number of starts", async () => {
    const error = await errorOf("broken.py::imports");
    expect(error).toContain("this module cannot be imported here");
    expect(error.split("Traceback").length).toBeLessThan(20);
  });

  test("an enter hook that fails ends the call with its error", async () => {
    expect(await errorOf("broken.py::enter")).toContain("the enter hook fails");
  });

  test("a container that exits while it starts is not started for ever", async () => {
    expect(await errorOf("broken.py::exit_at_start")).toMatch(/exit(ed)?.* 7/i);
  });

  test("a container that exits in a call is tried again a bounded number of times, then named", async () => {
    expect(await errorOf("broken.py::exit_in_call")).toMatch(/exit(ed)?.* 7/i);
  });

  test("an image that needs a build step is refused, naming the step", async () => {
    const finished = await modal(stack, ["run", "needs_build.py"], { timeoutMs: 60_000 });
    expect(finished.code, finished.output).toBe(1);
    expect(finished.output).toContain("pip install");
  });

  test("a message over the limit is refused with its size and the limit, and the connection lives on", async () => {
    const channel = new Channel({ url: stack.server_url, headers: { "x-modal-token-id": stack.token_id, "x-modal-token-secret": stack.token_secret } });
    const data = new Uint8Array(defaultMaxMessageBytes + 1);
    const error = await channel
      .unary(ModalClient.method.mountPutFile, { sha256Hex: "00", dataOneof: { case: "data", value: data } })
      .catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: statusCode.resourceExhausted });
    await expect(channel.unary(ModalClient.method.clientHello, {})).resolves.toBeDefined();
    channel.destroy();
  });

  test("an agent with a wrong token is refused and gets no work", async () => {
    const channel = new Channel({ url: stack.server_url });
    const link = channel.duplex(AgentLink.method.link);
    await link.send({
      message: { case: "hello", value: { workerToken: "wrong", workerName: "intruder", inventory: { milliCpu: 64_000, memoryBytes: 2n ** 40n } } },
    });
    const answers = (async () => {
      for await (const answer of link.responses) return answer;
      return undefined;
    })();
    await expect(answers).rejects.toMatchObject({ code: statusCode.unauthenticated });
    channel.destroy();
  });

  test("the same procedures answer JSON over HTTP/1.1", async () => {
    const url = `${stack.server_url}/modal.client.ModalClient/WorkspaceNameLookup`;
    const post = (headers: Readonly<Record<string, string>>) =>
      fetch(url, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: "{}" });
    const answer = await post({ "x-modal-token-id": stack.token_id, "x-modal-token-secret": stack.token_secret });
    expect(await answer.json()).toMatchObject({ workspaceName: expect.any(String) });
    const refused = await post({});
    expect(await refused.json()).toMatchObject({ code: "unauthenticated" });
  });
});

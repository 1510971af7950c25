import { once } from "node:events";
import http2 from "node:http2";
import { afterEach, expect, test } from "vitest";
import { Echo, type EchoServer, startEcho } from "../test/echo.ts";
import { Channel } from "./client.ts";
import { type CallInfo, GrpcError, type Implementation, statusCode } from "./handler.ts";

const text = (value: string) => ({ value: Buffer.from(value) });
const read = ({ value }: { readonly value: Uint8Array }) => Buffer.from(value).toString();

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(implementation: Implementation<typeof Echo>, options?: Parameters<typeof startEcho>[1]): Promise<{ echo: EchoServer; channel: Channel }> {
  const echo = await startEcho(implementation, options);
  const channel = new Channel({ url: echo.url });
  cleanups.push(
    () => echo.stop(),
    () => channel.destroy(),
  );
  return { echo, channel };
}

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of source) all.push(one);
  return all;
}

async function failure(promise: Promise<unknown>): Promise<GrpcError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof GrpcError) return error;
  throw new Error(`expected a GrpcError, got ${String(error)}`);
}

test("all four kinds of call carry their messages", async () => {
  const { channel } = await start({
    one: async (request) => text(`one ${read(request)}`),
    async *down(request) {
      for (const letter of read(request)) yield text(letter);
    },
    up: async (requests) => text((await collect(requests)).map(read).join("+")),
    async *both(requests) {
      for await (const request of requests) yield text(`got ${read(request)}`);
    },
  });
  expect(read(await channel.unary(Echo.method.one, text("a")))).toBe("one a");
  expect((await collect(channel.serverStream(Echo.method.down, text("abc")))).map(read)).toEqual(["a", "b", "c"]);
  async function* three() {
    yield* [text("1"), text("2"), text("3")];
  }
  expect(read(await channel.clientStream(Echo.method.up, three()))).toBe("1+2+3");
  const call = channel.duplex(Echo.method.both);
  const responses = call.responses[Symbol.asyncIterator]();
  await call.send(text("x"));
  expect(read((await responses.next()).value)).toBe("got x");
  await call.send(text("y"));
  expect(read((await responses.next()).value)).toBe("got y");
  call.end();
  expect((await responses.next()).done).toBe(true);
});

test("status, text and details reach the caller, in every script", async () => {
  const details = [{ typeName: "test.Detail", value: Uint8Array.from([1, 2, 3]) }];
  const { channel } = await start({
    one: () => Promise.reject(new GrpcError(statusCode.notFound, "Volume 'é % 中\n\ud800' not found", { details })),
    async *down() {
      yield text("first");
      throw new GrpcError(statusCode.resourceExhausted, "slow down", { details });
    },
  });
  const one = await failure(channel.unary(Echo.method.one, text("")));
  expect(one).toMatchObject({ code: statusCode.notFound, message: "Volume 'é % 中\n\ufffd' not found" });
  expect(one.details.map(({ typeName, value }) => [typeName, ...value])).toEqual([["test.Detail", 1, 2, 3]]);
  const seen: string[] = [];
  const down = await failure(
    (async () => {
      for await (const message of channel.serverStream(Echo.method.down, text(""))) seen.push(read(message));
    })(),
  );
  expect({ seen, code: down.code, details: down.details.length }).toEqual({ seen: ["first"], code: statusCode.resourceExhausted, details: 1 });
});

test("the text of an unexpected error stays inside and is reported", async () => {
  const { channel, echo } = await start({ one: () => Promise.reject(new Error("password is hunter2")) });
  const error = await failure(channel.unary(Echo.method.one, text("")));
  expect({ code: error.code, message: error.message }).toEqual({ code: statusCode.internal, message: "internal error" });
  expect(echo.faults.map(({ error: inner, info }) => [String(inner), info.path])).toEqual([["Error: password is hunter2", "/test.Echo/One"]]);
});

test("a method without a handler and a path of nobody are UNIMPLEMENTED", async () => {
  const { channel } = await start({});
  expect(await failure(channel.unary(Echo.method.missing, text("")))).toMatchObject({
    code: statusCode.unimplemented,
    message: "/test.Echo/Missing is not implemented by this server",
  });
});

test("an over-size message is refused by its prefix while the caller still sends", async () => {
  const { channel } = await start(
    { one: async (request) => request, up: async (requests) => text(String((await collect(requests)).length)) },
    { maxMessageBytes: 1024 * 1024 },
  );
  const big = { value: new Uint8Array(64 * 1024 * 1024) };
  const started = performance.now();
  expect(await failure(channel.unary(Echo.method.one, big))).toMatchObject({
    code: statusCode.resourceExhausted,
    message: expect.stringContaining("larger than the limit of 1048576"),
  });
  async function* one() {
    yield big;
  }
  expect(await failure(channel.clientStream(Echo.method.up, one()))).toMatchObject({ code: statusCode.resourceExhausted });
  expect(performance.now() - started).toBeLessThan(5000); // it hung for ever where this was not done
  expect(read(await channel.unary(Echo.method.one, text("still there")))).toBe("still there");
});

test("a large body to an unknown method is refused, not awaited", async () => {
  const { channel } = await start({});
  expect(await failure(channel.unary(Echo.method.missing, { value: new Uint8Array(40 * 1024 * 1024) }))).toMatchObject({ code: statusCode.unimplemented });
});

test("messages of 60 MiB pass both ways", async () => {
  const { channel } = await start({ one: async (request) => request });
  const sent = { value: new Uint8Array(60 * 1024 * 1024).fill(7) };
  const received = await channel.unary(Echo.method.one, sent);
  expect(Buffer.compare(Buffer.from(received.value), Buffer.from(sent.value))).toBe(0);
});

test("compressed, malformed and doubled requests are refused clearly", async () => {
  const { echo } = await start({ one: async (request) => request });
  const session = http2.connect(echo.url);
  cleanups.push(() => session.destroy());
  const status = async (body: number[]) => {
    const stream = session.request({ ":method": "POST", ":path": "/test.Echo/One", "content-type": "application/grpc", te: "trailers" });
    stream.end(Buffer.from(body));
    const [headers] = await once(stream, "response");
    stream.resume();
    return [headers["grpc-status"], decodeURIComponent(headers["grpc-message"])];
  };
  expect(await status([1, 0, 0, 0, 0])).toEqual(["12", expect.stringContaining("compressed")]);
  expect(await status([0, 0, 0, 0, 9, 1])).toEqual(["3", expect.stringContaining("malformed")]);
  expect(await status([0, 0, 0, 0, 1, 255])).toEqual(["3", expect.stringContaining("malformed")]);
  expect(await status([0, 0, 0, 0, 0, 0, 0, 0, 0, 0])).toEqual(["3", expect.stringContaining("malformed")]);
  expect(await status([])).toEqual(["3", expect.stringContaining("malformed")]);
});

test("a deadline ends the call on both sides and aborts the handler", async () => {
  let aborted: unknown;
  const { channel } = await start({
    one: (_, info) =>
      new Promise((_, reject) => {
        info.signal.addEventListener("abort", () => {
          aborted = info.signal.reason;
          reject(info.signal.reason);
        });
      }),
  });
  const error = await failure(channel.unary(Echo.method.one, text(""), { timeoutMs: 50 }));
  expect(error.code).toBe(statusCode.deadlineExceeded);
  await expect.poll(() => aborted).toBeInstanceOf(GrpcError);
});

test("a cancelled call aborts its handler and runs the generator's finally", async () => {
  const events: string[] = [];
  const { channel } = await start({
    async *down(_, info) {
      try {
        yield text("first");
        await new Promise((_, reject) => info.signal.addEventListener("abort", () => reject(info.signal.reason)));
      } finally {
        events.push("finally");
      }
    },
  });
  for await (const message of channel.serverStream(Echo.method.down, text(""))) {
    events.push(read(message));
    break;
  }
  await expect.poll(() => events).toEqual(["first", "finally"]);
});

test("metadata arrives in the handler; trailers and headers in the caller, with errors too", async () => {
  let seen: CallInfo | undefined;
  const { channel } = await start({
    one: async (request, info) => {
      seen = info;
      info.setTrailer("x-modal-warning", encodeURIComponent("not here"));
      if (read(request) === "fail") throw new GrpcError(statusCode.aborted, "no");
      return request;
    },
  });
  for (const body of ["fine", "fail"]) {
    let warning: string | undefined;
    const options = {
      headers: { "x-idempotency-key": "abc" },
      timeoutMs: 5000,
      onTrailers: (trailers: Readonly<Record<string, string | undefined>>) => {
        warning = trailers["x-modal-warning"];
      },
    };
    await channel.unary(Echo.method.one, text(body), options).catch(() => {});
    expect(warning).toBe("not%20here");
  }
  expect(seen?.headers["x-idempotency-key"]).toBe("abc");
  expect(seen?.peer).toEqual({ from: "test" });
  expect(seen?.path).toBe("/test.Echo/One");
  expect(seen?.timeoutMs()).toBeLessThanOrEqual(5000);
});

test("a slow reader holds the sender back", async () => {
  let sent = 0;
  const { channel } = await start({
    async *down() {
      for (; sent < 2000; sent++) yield { value: new Uint8Array(256 * 1024) };
    },
  });
  const iterator = channel.serverStream(Echo.method.down, text(""))[Symbol.asyncIterator]();
  await iterator.next();
  let before = -1;
  await expect
    .poll(
      () => {
        const isStill = before === sent;
        before = sent;
        return isStill;
      },
      { interval: 200, timeout: 10_000 },
    )
    .toBe(true);
  expect(sent).toBeLessThan(500); // 500 MB would be all of it
  await iterator.return?.();
});

test("a thousand calls wait on one connection and all end when it is lost", async () => {
  let open = 0;
  const { channel } = await start({
    one: (_, info) =>
      new Promise((_, reject) => {
        open += 1;
        info.signal.addEventListener("abort", () => {
          open -= 1;
          reject(info.signal.reason);
        });
      }),
  });
  const calls = Array.from({ length: 1000 }, () => failure(channel.unary(Echo.method.one, text(""))));
  await expect.poll(() => open, { timeout: 10_000 }).toBe(1000);
  channel.destroy();
  const codes = new Set((await Promise.all(calls)).map(({ code }) => code));
  expect([...codes]).toEqual([statusCode.unavailable]);
  await expect.poll(() => open).toBe(0);
});

test("calls beyond the limit of a connection wait for a free place", async () => {
  let open = 0;
  let most = 0;
  const { channel } = await start(
    {
      one: async (request) => {
        open += 1;
        most = Math.max(most, open);
        await new Promise((resolve) => setTimeout(resolve, 5));
        open -= 1;
        return request;
      },
    },
    { maxStreamsPerConnection: 10 },
  );
  await channel.unary(Echo.method.one, text("settings have arrived"));
  await Promise.all(Array.from({ length: 50 }, () => channel.unary(Echo.method.one, text("x"))));
  expect(most).toBeLessThanOrEqual(10);
});

test("a closing server lets the calls in flight end", async () => {
  const gate = Promise.withResolvers<void>();
  let entered = false;
  const { channel, echo } = await start({
    one: async (request) => {
      entered = true;
      await gate.promise;
      return request;
    },
  });
  const call = channel.unary(Echo.method.one, text("slow"));
  await expect.poll(() => entered).toBe(true);
  const closing = echo.server.close(10_000);
  gate.resolve();
  expect(read(await call)).toBe("slow");
  await closing;
  await channel.closed;
});

test("a closing server gives up on calls that do not end", async () => {
  const { channel, echo } = await start({ one: () => new Promise(() => {}) });
  const call = failure(channel.unary(Echo.method.one, text("never")));
  await channel.connected;
  await channel.unary(Echo.method.missing, text("")).catch(() => {}); // the first call has arrived before this one
  await echo.server.close(50);
  expect((await call).code).toBe(statusCode.unavailable);
});

test("nobody listening is UNAVAILABLE", async () => {
  const { echo } = await start({});
  await echo.stop();
  const channel = new Channel({ url: echo.url });
  expect((await failure(channel.connected)).code).toBe(statusCode.unavailable);
});

test("a peer that stops answering is found out by the keep-alive", async () => {
  const silent = await import("node:net").then(({ createServer }) => createServer((socket) => socket.resume()).listen(0, "127.0.0.1"));
  cleanups.push(() => void silent.close());
  await once(silent, "listening");
  const address = silent.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const channel = new Channel({ url: `http://127.0.0.1:${port}`, keepAlive: { everyMs: 50, withinMs: 100 } });
  await channel.closed;
  expect(channel.isClosed).toBe(true);
});

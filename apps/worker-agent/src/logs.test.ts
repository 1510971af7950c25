import { create } from "@bufbuild/protobuf";
import { LogAckSchema, type LogMessage } from "@squall/protocol/agent";
import { describe, expect, test } from "vitest";
import { LogShipper } from "./logs.ts";

/** A log of one-byte "frames" that grows. */
function growingLog() {
  let bytes = Buffer.alloc(0);
  let dropped = 0;
  let listener = () => {};
  return {
    append(text: string) {
      bytes = Buffer.concat([bytes, Buffer.from(text)]);
      listener();
    },
    dropped: () => dropped,
    runtime: {
      onLog(_containerId: string, callback: () => void) {
        listener = callback;
        return () => {};
      },
      readLogs(_containerId: string, { offset, maxBytes }: { offset: number; maxBytes: number }) {
        const at = Math.max(offset, dropped);
        const frames = bytes.subarray(at, at + maxBytes);
        return frames.length > 0 ? [{ offset: at, frames }] : [];
      },
      dropLogs(_containerId: string, { belowOffset }: { belowOffset: number }) {
        dropped = belowOffset;
      },
    },
  };
}

const ack = (offset: number) => create(LogAckSchema, { containerId: "ta-1", offset: BigInt(offset) });
const shown = (messages: LogMessage[]) => messages.map((each) => `${each.offset}:${each.end ? "end" : Buffer.from(each.frames).toString()}`);

describe("log shipper", () => {
  test("what is printed is sent at once and dropped here once it is durable there", () => {
    const log = growingLog();
    const shipper = new LogShipper(log.runtime);
    const sent: LogMessage[] = [];
    shipper.connect((message) => sent.push(message));
    shipper.follow("ta-1");
    log.append("abc");
    log.append("de");
    shipper.acknowledged(ack(3));
    expect(shown(sent)).toEqual(["0:abc", "3:de"]);
    expect(log.dropped()).toBe(3);
  });

  test("a new session goes on from what was acknowledged", () => {
    const log = growingLog();
    const shipper = new LogShipper(log.runtime);
    shipper.connect(() => {});
    shipper.follow("ta-1");
    log.append("abc");
    shipper.acknowledged(ack(2));
    shipper.disconnect();
    log.append("d");
    const sent: LogMessage[] = [];
    shipper.connect((message) => sent.push(message));
    expect(shown(sent)).toEqual(["2:cd"]);
  });

  test("no more than a window is on its way", () => {
    const log = growingLog();
    const shipper = new LogShipper(log.runtime);
    let sentBytes = 0;
    shipper.connect((message) => {
      sentBytes += message.frames.length;
    });
    shipper.follow("ta-1");
    log.append("x".repeat(4 << 20));
    expect(sentBytes).toBe(1 << 20);
    shipper.acknowledged(ack(1 << 20));
    expect(sentBytes).toBe(2 << 20);
  });

  test("the end is told after the last byte, again in a new session, and awaited", async () => {
    const log = growingLog();
    const shipper = new LogShipper(log.runtime);
    shipper.follow("ta-1");
    log.append("abc");
    let isFinished = false;
    const finished = shipper.finish("ta-1").then(() => {
      isFinished = true;
    });
    shipper.connect(() => {});
    shipper.disconnect();
    const sent: LogMessage[] = [];
    shipper.connect((message) => sent.push(message));
    expect(shown(sent)).toEqual(["0:abc", "3:end"]);
    expect(isFinished).toBe(false);
    shipper.acknowledged(ack(3));
    await finished;
  });

  test("a log that is dropped here is not waited for", async () => {
    const log = growingLog();
    const shipper = new LogShipper(log.runtime);
    shipper.follow("ta-1");
    const finished = shipper.finish("ta-1");
    shipper.drop("ta-1");
    await finished;
  });
});

test("a container that never ran has an end and no log", () => {
  const shipper = new LogShipper({
    onLog: () => () => {},
    dropLogs: () => {},
    readLogs: () => {
      throw new Error("no such folder");
    },
  });
  const sent: LogMessage[] = [];
  shipper.connect((message) => sent.push(message));
  void shipper.finish("ta-1");
  expect(shown(sent)).toEqual(["0:end"]);
});

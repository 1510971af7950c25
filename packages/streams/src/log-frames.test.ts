import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeLogFrames, droppedBytes, encodeLogFrame, frameHeaderBytes, wholeFramesLength } from "./log-frames.ts";

const frame = fc.record({ atMs: fc.nat(), stream: fc.constantFrom(0, 1, 2, 3), data: fc.uint8Array({ maxLength: 200 }) });
const join = (parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts));

test("frames come back as they were, wherever the bytes are cut", () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 20 }), fc.nat(), (frames, at) => {
      const bytes = join(frames.map(encodeLogFrame));
      const cut = at % (bytes.length + 1);
      const head = decodeLogFrames(bytes.subarray(0, cut));
      const tail = decodeLogFrames(bytes.subarray(head.lengthBytes));
      expect([...head.frames, ...tail.frames].map(({ data, ...rest }) => ({ ...rest, data: [...data] }))).toEqual(
        frames.map(({ data, ...rest }) => ({ ...rest, data: [...data] })),
      );
      expect(head.lengthBytes + tail.lengthBytes).toBe(bytes.length);
    }),
  );
});

test("a chunk is cut after a whole frame, within the limit unless the first frame alone is longer", () => {
  const bytes = join([10, 20, 30].map((length) => encodeLogFrame({ atMs: 1, stream: 1, data: new Uint8Array(length) })));
  expect(wholeFramesLength(bytes, 60)).toBe(23 + 33);
  expect(wholeFramesLength(bytes, 5)).toBe(23);
  expect(wholeFramesLength(bytes.subarray(0, 30), 100)).toBe(23);
  expect(wholeFramesLength(bytes.subarray(0, frameHeaderBytes), 100)).toBe(0);
});

test("bytes that are no log are refused", () => {
  expect(() => decodeLogFrames(new Uint8Array(40).fill(255))).toThrow("not a log");
});

test("a dropped mark tells its count", () => {
  const data = new Uint8Array(8);
  new DataView(data.buffer).setBigUint64(0, 123_456n, true);
  expect(droppedBytes({ atMs: 1, stream: 0, data })).toBe(123_456);
});

import { newId } from "@squall/core/ids";
import { seededRandom } from "@squall/core/random";
import { expect, test } from "vitest";
import { BlobUrls, baseUrlOf, blobUrlLifetimeMs, isSinglePutHost } from "./blob-urls.ts";

const source = { clock: { now: () => 1_000, monotonic: () => 0 }, random: seededRandom(1) };
const grant = { use: "read", workspaceId: newId("workspace", source), blobId: newId("blob", source) } as const;
const urls = new BlobUrls(new Uint8Array(32).fill(1));

test("a signed URL grants what it was signed for, until it expires", () => {
  const url = urls.sign(grant, 1_000);
  expect(urls.verify(url, 1_001)).toEqual(grant);
  expect(urls.verify(url, 1_000 + blobUrlLifetimeMs)).toBeUndefined();
});

test("a changed URL grants nothing", () => {
  const url = urls.sign(grant, 1_000);
  const other = newId("blob", source);
  const changed = [
    url.replace("use=read", "use=write"),
    url.replace(grant.blobId, other),
    url.replace(grant.workspaceId, newId("workspace", source)),
    url.replace(/expires=\d+/, "expires=99999999999999"),
    url.replace(/signature=..../, "signature=AAAA"),
    url.replace(/signature=.*/, ""),
    url.replace("/blobs/", "/blobs/../blobs/x/"),
    "/blobs/",
    "//evil",
    new BlobUrls(new Uint8Array(32)).sign(grant, 1_000),
  ];
  for (const one of changed) expect(urls.verify(one, 1_001), one).toBeUndefined();
});

test("the base URL is what the client dialled, unless that is no host", () => {
  expect(baseUrlOf("10.0.0.5:4700", "http://127.0.0.1:4700")).toBe("http://10.0.0.5:4700");
  expect(baseUrlOf("squall.example", "https://squall.example")).toBe("https://squall.example");
  expect(baseUrlOf("evil/path?", "http://127.0.0.1:4700")).toBe("http://127.0.0.1:4700");
  expect(baseUrlOf(undefined, "http://127.0.0.1:4700")).toBe("http://127.0.0.1:4700");
});

test.each([
  ["http://127.0.0.1:4700", true],
  ["http://localhost:4700", true],
  ["http://10.1.2.3", true],
  ["http://172.31.0.1:80", true],
  ["http://172.32.0.1:80", false],
  ["http://192.168.0.9", true],
  ["http://8.8.8.8", false],
  ["https://squall.example", false],
  ["http://10.example", false],
])("a single upload to %s: %s", (url, expected) => {
  expect(isSinglePutHost(url)).toBe(expected);
});

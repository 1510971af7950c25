/** URLs that let their bearer read or write one blob for a while, whoever they are: made by BlobCreate and BlobGet, checked by the blob door. */
import { createHmac, timingSafeEqual } from "node:crypto";
import { type Id, isId } from "@squall/core/ids";

export type BlobUse = "read" | "write";

export interface BlobGrant {
  readonly use: BlobUse;
  readonly workspaceId: Id<"workspace">;
  readonly blobId: Id<"blob">;
}

/** How long a URL may be started to be used. */
export const blobUrlLifetimeMs = 3_600_000;

export class BlobUrls {
  readonly #key: Uint8Array;

  /** `key`: 32 secret bytes that only the api has. */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** The path and query to put behind a base URL. */
  sign(grant: BlobGrant, nowMs: number): string {
    const expiresAtMs = nowMs + blobUrlLifetimeMs;
    return `/blobs/${grant.workspaceId}/${grant.blobId}?use=${grant.use}&expires=${expiresAtMs}&signature=${this.#signature(grant, expiresAtMs).toString("base64url")}`;
  }

  /** What a request's path and query allows; undefined when it was not signed here for this or has expired. */
  verify(target: string, nowMs: number): BlobGrant | undefined {
    const url = URL.parse(target, "http://blobs");
    const [, blobs, workspaceId = "", blobId = "", ...rest] = url?.pathname.split("/") ?? [];
    const use = url?.searchParams.get("use");
    const expiresAtMs = Number(url?.searchParams.get("expires"));
    const signature = Buffer.from(url?.searchParams.get("signature") ?? "", "base64url");
    if (blobs !== "blobs" || rest.length > 0 || !isId("workspace", workspaceId) || !isId("blob", blobId) || (use !== "read" && use !== "write"))
      return undefined;
    const grant: BlobGrant = { use, workspaceId, blobId };
    const expected = this.#signature(grant, expiresAtMs);
    if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) return undefined;
    return nowMs < expiresAtMs ? grant : undefined;
  }

  #signature({ use, workspaceId, blobId }: BlobGrant, expiresAtMs: number): Buffer {
    return createHmac("sha256", this.#key).update([use, workspaceId, blobId, expiresAtMs].join("\n")).digest();
  }
}

/**
 * The base URL at which the asking client reaches us: what it dialled, if that is a plain host and port, since it may be tunnelled or forwarded; else
 * the public one.
 */
export function baseUrlOf(authority: string | undefined, publicUrl: string): string {
  const scheme = publicUrl.startsWith("https:") ? "https" : "http";
  return authority !== undefined && /^([A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:]+\])(:\d{1,5})?$/.test(authority) ? `${scheme}://${authority}` : publicUrl;
}

/**
 * Whether the Python client accepts a single upload URL there: it insists on the big providers' names, `localhost`, or an address that is private or
 * loopback. To other hosts it uploads in "parts", one being enough, and asks nothing.
 */
export function isSinglePutHost(baseUrl: string): boolean {
  const host = URL.parse(baseUrl)?.hostname.replace(/^\[|\]$/g, "") ?? "";
  if (host === "localhost" || host === "::1") return true;
  const [a = -1, b = -1, ...rest] = /^[\d.]+$/.test(host) ? host.split(".").map(Number) : [];
  if (rest.length !== 2) return false;
  return a === 127 || a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168);
}

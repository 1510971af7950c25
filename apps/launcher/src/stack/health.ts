import { LauncherError } from "../say.ts";

const retryMs = 50;

/** Waits until the api says that it is healthy and at least `workers` workers are connected. */
export async function waitForHealth(serverUrl: string, { workers, timeoutMs }: { readonly workers: number; readonly timeoutMs: number }): Promise<void> {
  const until = performance.now() + timeoutMs;
  let last = "no answer";
  while (performance.now() < until) {
    const health = await askHealth(serverUrl);
    if (health.status === "ok" && health.workers >= workers) return;
    last = `status ${health.status}, ${health.workers} workers`;
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
  throw new LauncherError(`the api is not healthy after ${timeoutMs / 1000} s: wanted ${workers} workers, got ${last}`);
}

async function askHealth(serverUrl: string): Promise<{ readonly status: string; readonly workers: number }> {
  try {
    const response = await fetch(`${serverUrl}/healthz`, { signal: AbortSignal.timeout(5000) });
    const body = asHealth(await response.json());
    return { status: body.status ?? "unknown", workers: body.workers?.online ?? 0 };
  } catch (error) {
    return { status: error instanceof Error ? error.message : String(error), workers: 0 };
  }
}

/** The answer comes from our own api, or from a stranger on its port: every field is optional, so that nothing is claimed. */
function asHealth(value: unknown): { readonly status?: string; readonly workers?: { readonly online?: number } } {
  return typeof value === "object" && value !== null ? value : {};
}

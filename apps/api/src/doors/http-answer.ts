import type { ServerResponse } from "node:http";

/** An error as HTTP callers of every kind can read it; ends the connection, since the request may not have been read. */
export function answerError(response: ServerResponse, status: number, error: { readonly code: string; readonly message: string }): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.writeHead(status, { "content-type": "application/json", connection: "close" });
  response.end(`${JSON.stringify(error)}\n`);
}

export function answerJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(`${JSON.stringify(value)}\n`);
}

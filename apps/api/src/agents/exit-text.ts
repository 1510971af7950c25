import type { ContainerExit } from "./ports.ts";

/** How a container ended, as its callers will read it. */
export function describeExit({ reason, code, message }: ContainerExit): string {
  const said = message === "" ? undefined : sentence(message);
  switch (reason) {
    case "outOfMemory":
      return `${said ?? "The container ran out of memory."} Ask for more with memory=…`;
    case "exited":
      return said ?? `The container exited with code ${code}.`;
    case "startFailed":
      return said ?? "The container could not be started.";
    case "startupTimeout":
      return said ?? "The container did not ask for its first input in time.";
    case "inputTimeout":
      return "The container was stopped because another of its inputs ran out of time.";
    case "stopped":
      return said ?? "The container was stopped.";
    case "lost":
      return said ?? "The container was lost with its worker.";
    default:
      return reason satisfies never;
  }
}

function sentence(text: string): string {
  const trimmed = text.trim().replace(/\.$/, "");
  return `${trimmed.charAt(0).toUpperCase()}${trimmed.slice(1)}.`;
}

/** The child's side of the keeper: import it in a process that a keeper started. */
import net from "node:net";
import { asMessage, type FromChild, type ToChild } from "./protocol.ts";

type OnConnection = (door: string, socket: net.Socket) => void;

const answers = new Map<number, { readonly resolve: (doors: readonly string[]) => void; readonly reject: (error: Error) => void }>();
const early: [string, net.Socket][] = [];
let onConnection: OnConnection | undefined;
let lastRequest = 0;

/**
 * Every connection on any door, from now on. The socket has not been read and may be half closed by the caller. Call it once, before
 * `ready`. When the keeper dies, this process is sent SIGTERM by itself: it must end, since nobody can reach it any more.
 */
export function connections(listener: OnConnection): void {
  onConnection = listener;
  for (const [door, socket] of early.splice(0)) listener(door, socket);
}

/** Says that connections may come. */
export function ready(): void {
  tell({ type: "ready" });
}

/** Opens a unix socket that the keeper holds; it outlives this process. `mode` defaults to 0600. Opening the same one again is no fault. */
export async function openDoor(name: string, { path, mode = 0o600 }: { readonly path: string; readonly mode?: number }): Promise<void> {
  await ask((request) => ({ type: "openDoor", request, name, path, mode }));
}

/** Closes a door and removes its socket file. A door that is not open is no fault. */
export async function closeDoor(name: string): Promise<void> {
  await ask((request) => ({ type: "closeDoor", request, name }));
}

/** Names of all open doors, those of an earlier child included. */
export async function doors(): Promise<string[]> {
  return [...(await ask((request) => ({ type: "doors", request })))];
}

function ask(message: (request: number) => FromChild): Promise<readonly string[]> {
  lastRequest += 1;
  const request = lastRequest;
  return new Promise((resolve, reject) => {
    answers.set(request, { resolve, reject });
    tell(message(request));
  });
}

function tell(message: FromChild): void {
  if (!process.send) throw new Error("this process was not started by a keeper: node packages/keeper/src/main.ts … -- COMMAND");
  process.send(message);
}

function onMessage(value: unknown, handle: unknown): void {
  const message = asMessage<ToChild>(value);
  if (message?.type === "answer") {
    const waiting = answers.get(message.request);
    answers.delete(message.request);
    if (message.error === undefined) waiting?.resolve(message.doors);
    else waiting?.reject(new Error(message.error));
  } else if (message?.type === "connection" && handle instanceof net.Socket) {
    tell({ type: "taken", connection: message.connection });
    handle.allowHalfOpen = true; // Node forgets the listener's choice when it sends a socket
    if (onConnection) onConnection(message.door, handle);
    else early.push([message.door, handle]);
  }
}

if (process.send) {
  process.on("message", onMessage);
  process.on("disconnect", () => process.kill(process.pid, "SIGTERM"));
}

/** What is said in a link session: the Hello, what follows the Welcome, and which part of the agent each message of the control plane is for. */
import { create } from "@bufbuild/protobuf";
import { type ControlMessage, type Hello, HelloSchema, InputRequestSchema, type Inventory, UsageBatchSchema } from "@squall/protocol/agent";
import type { Containers } from "./containers.ts";
import type { ControlLink } from "./control-link.ts";
import type { Outbox } from "./outbox.ts";
import type { UsageJournal } from "./usage.ts";

export interface SessionParts {
  readonly link: Pick<ControlLink, "send">;
  readonly send: Parameters<Outbox["connect"]>[0];
  readonly containers: Containers;
  readonly outbox: Outbox;
  readonly journal: UsageJournal;
}

export interface Identity {
  readonly workerToken: string;
  readonly workerName: string;
  readonly agentVersion: string;
  /** Different in every run of the agent. */
  readonly bootId: string;
  readonly inventory: Inventory;
}

export function helloMessage(identity: Identity, { containers, outbox }: Pick<SessionParts, "containers" | "outbox">): Hello {
  const reports = containers.all().map((runner) => runner.report({ withEnd: !outbox.holds(runner.containerId) }));
  return create(HelloSchema, { ...identity, containers: reports, cursor: containers.cursor });
}

/**
 * The order matters: unacknowledged outputs first, then the containers' states (what changed since the Hello was written, and ends that had to wait for
 * their outputs), then open requests for inputs.
 */
export function resume({ link, send, containers, outbox, journal }: SessionParts): void {
  outbox.connect(send);
  for (const runner of containers.all()) link.send({ case: "container", value: runner.report({ withEnd: true }) });
  for (const runner of containers.all()) {
    const open = runner.inputs.broker.openRequest();
    if (open) sendRequest(link, { containerId: runner.containerId, ...open });
  }
  journal.connect((segments) => link.send({ case: "usage", value: create(UsageBatchSchema, { segments }) }));
}

export function suspend({ outbox, journal }: Pick<SessionParts, "outbox" | "journal">): void {
  outbox.disconnect();
  journal.disconnect();
}

export function dispatchMessage(
  message: ControlMessage["message"],
  { containers, outbox, journal }: Pick<SessionParts, "containers" | "outbox" | "journal">,
  onError: (error: unknown) => void,
): void {
  if (message.case === "outputsStored") outbox.acknowledge(message.value.throughSequence);
  else if (message.case === "usageStored") journal.stored(message.value.segments).catch(onError);
  else containers.receive(message);
}

export function sendRequest(link: Pick<ControlLink, "send">, request: { containerId: string; slots: number; requestId: bigint }): void {
  link.send({ case: "inputRequest", value: create(InputRequestSchema, request) });
}

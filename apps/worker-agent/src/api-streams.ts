/** Streams to the control plane over `@squall/grpc`. Each kind has a connection of its own, so that bulk never delays inputs and outputs. */
import type { DescMessage, DescMethod, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { Channel, type DuplexCall } from "@squall/grpc/client";
import { AgentLink, type CallFrame, type LogAck, type LogMessage } from "@squall/protocol/agent";
import type { LinkStream } from "./control-link.ts";

export interface ApiStream<Out, In> {
  /** Queues in order; resolves when the transport has room again. Never rejects: a broken stream shows at `messages`. */
  send(message: Out): Promise<void>;
  readonly messages: AsyncIterable<In>;
  close(): void;
}

export interface ApiStreams {
  link(): LinkStream;
  logs(): ApiStream<LogMessage, LogAck>;
  calls(): ApiStream<CallFrame, CallFrame>;
}

// The control plane is trusted, and the first message of a Link names every container to start, with code and files: one that were refused would come again.
const maxMessageBytes = 1 << 30;
const keepAlive = { everyMs: 10_000, withinMs: 10_000 };

export function openApiStreams(apiUrl: string): ApiStreams {
  const open = <I extends DescMessage, O extends DescMessage>(method: BidiMethod<I, O>): ApiStream<MessageInitShape<I>, MessageShape<O>> => {
    const channel = new Channel({ url: apiUrl, keepAlive, maxMessageBytes });
    return streamOf(channel, channel.duplex(method));
  };
  return { link: () => open(AgentLink.method.link), logs: () => open(AgentLink.method.logs), calls: () => open(AgentLink.method.calls) };
}

type BidiMethod<I extends DescMessage, O extends DescMessage> = Omit<DescMethod, "methodKind" | "input" | "output"> & {
  readonly methodKind: "bidi_streaming";
  readonly input: I;
  readonly output: O;
};

function streamOf<I extends DescMessage, O extends DescMessage>(channel: Channel, call: DuplexCall<I, O>): ApiStream<MessageInitShape<I>, MessageShape<O>> {
  return {
    send: (message) => call.send(message).catch(() => {}),
    messages: call.responses,
    close() {
      call.cancel();
      channel.destroy();
    },
  };
}

/**
 * Names for containers: a proxy on the host's end of their network, the only name server they can reach. It answers the machine's own /etc/hosts and
 * passes everything else, unread, to the machine's resolvers.
 *
 * Bounds: 512 questions in flight over udp, 64 of them of one container (more are dropped, it asks again), 64 tcp connections, 5 s each.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { connect, createServer, isIP, type Server, type Socket } from "node:net";
import { answerFromHosts, parseHosts, parseResolvers } from "./dns-message.ts";

export interface DnsProxyOptions {
  readonly address: string;
  /** 53; another one for tests. 0 picks a free one. */
  readonly port: number;
  readonly hostsPath?: string;
  readonly resolvPath?: string;
  readonly resolverPort?: number;
}

export interface DnsProxy {
  readonly port: number;
  close(): Promise<void>;
}

const maxInFlight = 512;
const maxInFlightPerContainer = 64;
const maxTcp = 64;
const questionTimeoutMs = 5_000;
const headerBytes = 12;

export async function startDnsProxy(options: DnsProxyOptions): Promise<DnsProxy> {
  const machine = new MachineNames(options.hostsPath ?? "/etc/hosts", options.resolvPath ?? "/etc/resolv.conf");
  const resolverPort = options.resolverPort ?? 53;
  const udp = createSocket("udp4");
  udp.bind(options.port, options.address);
  await once(udp, "listening").catch((cause: unknown) => {
    throw new Error(`cannot answer names on ${options.address}:${options.port}: another name server may listen on every address of this machine`, { cause });
  });
  const { port } = udp.address();
  serveUdp(udp, machine, resolverPort);
  const tcp = createServer((socket) => serveTcp(socket, machine, resolverPort));
  tcp.maxConnections = maxTcp;
  tcp.listen(port, options.address);
  await once(tcp, "listening");
  return { port, close: () => close(udp, tcp) };
}

async function close(udp: UdpSocket, tcp: Server): Promise<void> {
  udp.close();
  tcp.close();
}

/** The machine's own files, read again when they change. */
class MachineNames {
  readonly #hosts: Watched<ReadonlyMap<string, readonly string[]>>;
  readonly #resolvers: Watched<readonly string[]>;

  constructor(hostsPath: string, resolvPath: string) {
    this.#hosts = new Watched(hostsPath, parseHosts);
    this.#resolvers = new Watched(resolvPath, parseResolvers);
  }

  answer(question: Buffer): Buffer | undefined {
    return answerFromHosts(question, this.#hosts.value());
  }

  resolvers(): readonly string[] {
    return this.#resolvers.value().filter((address) => isIP(address) !== 0);
  }
}

class Watched<Value> {
  readonly #path: string;
  readonly #parse: (text: string) => Value;
  #stamp: string | undefined;
  #value: Value | undefined;

  constructor(path: string, parse: (text: string) => Value) {
    this.#path = path;
    this.#parse = parse;
  }

  value(): Value {
    const stats = statSync(this.#path, { throwIfNoEntry: false });
    const stamp = stats ? `${stats.ino} ${stats.mtimeMs} ${stats.size}` : "absent";
    if (this.#value === undefined || stamp !== this.#stamp) this.#value = this.#parse(stats ? readFileSync(this.#path, "utf8") : "");
    this.#stamp = stamp;
    return this.#value;
  }
}

function serveUdp(udp: UdpSocket, machine: MachineNames, resolverPort: number): void {
  let inFlight = 0;
  const byAddress = new Map<string, number>();
  udp.on("error", () => {}); // a send to a namespace that is gone
  udp.on("message", (question, from) => {
    if (question.length < headerBytes) return; // no question: its answer could not be told by its id
    const known = machine.answer(question);
    if (known) return udp.send(known, from.port, from.address);
    const ofContainer = byAddress.get(from.address) ?? 0;
    if (inFlight >= maxInFlight || ofContainer >= maxInFlightPerContainer) return;
    inFlight++;
    byAddress.set(from.address, ofContainer + 1);
    const done = () => {
      inFlight--;
      const rest = (byAddress.get(from.address) ?? 1) - 1;
      if (rest > 0) byAddress.set(from.address, rest);
      else byAddress.delete(from.address);
    };
    void askUdp(question, machine.resolvers(), resolverPort)
      .then((answer) => {
        if (answer) udp.send(answer, from.port, from.address);
      })
      .finally(done);
  });
}

/** The first answer of the resolvers, asked one after the other. */
async function askUdp(question: Buffer, resolvers: readonly string[], port: number): Promise<Buffer | undefined> {
  const patienceMs = questionTimeoutMs / Math.max(1, resolvers.length);
  for (const resolver of resolvers) {
    const answer = await askOne(question, { resolver, port, patienceMs });
    if (answer) return answer;
  }
  return undefined;
}

/** A socket per question: its random port is what makes forged answers hard. */
function askOne(question: Buffer, { resolver, port, patienceMs }: { resolver: string; port: number; patienceMs: number }): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(isIP(resolver) === 6 ? "udp6" : "udp4");
    const settle = (answer: Buffer | undefined) => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(settle, patienceMs, undefined);
    socket.once("error", () => settle(undefined));
    socket.connect(port, resolver, () => {
      socket.send(question);
    });
    socket.on("message", (answer) => {
      if (answer.length >= headerBytes && answer.readUInt16BE(0) === question.readUInt16BE(0)) settle(answer);
    });
  });
}

/** Over tcp a question has its length in front; what the machine does not know goes to the first resolver, byte for byte. */
function serveTcp(socket: Socket, machine: MachineNames, resolverPort: number): void {
  let head: Buffer = Buffer.alloc(0);
  socket.setTimeout(questionTimeoutMs, () => socket.destroy());
  socket.on("error", () => socket.destroy());
  const onData = (data: Buffer) => {
    head = Buffer.concat([head, data]);
    if (head.length < 2 || head.length < 2 + head.readUInt16BE(0)) return;
    const question = head.subarray(2, 2 + head.readUInt16BE(0));
    const known = machine.answer(question);
    if (known) {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(known.length);
      socket.end(Buffer.concat([length, known]));
      return;
    }
    socket.off("data", onData);
    const [resolver] = machine.resolvers();
    if (!resolver) return void socket.destroy();
    const upstream = connect(resolverPort, resolver);
    upstream.setTimeout(questionTimeoutMs, () => upstream.destroy());
    upstream.on("error", () => socket.destroy());
    upstream.on("close", () => socket.destroy());
    socket.on("close", () => upstream.destroy());
    upstream.write(head);
    upstream.pipe(socket);
    socket.pipe(upstream);
  };
  socket.on("data", onData);
}

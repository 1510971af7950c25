/** As much of RFC 1035 as answering from a hosts file needs. Pure; whatever cannot be read is "not ours" and goes to the resolvers. */
import { isIPv4, isIPv6 } from "node:net";

const headerBytes = 12;
const maxLabelBytes = 63;
const timeToLiveS = 30;
const typeA = 1;
const typeAaaa = 28;
const classInternet = 1;

/** Addresses by lower-case name. */
export function parseHosts(text: string): ReadonlyMap<string, readonly string[]> {
  const hosts = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [address, ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (!address || !(isIPv4(address) || isIPv6(address))) continue;
    for (const name of names) hosts.set(name.toLowerCase(), [...(hosts.get(name.toLowerCase()) ?? []), address]);
  }
  return hosts;
}

/** Name servers of a resolv.conf, in order, at most three as the C library has it. */
export function parseResolvers(text: string): readonly string[] {
  return text
    .split("\n")
    .flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? [])
    .slice(0, 3);
}

/**
 * The whole answer when the hosts file has the name, without addresses when it has it in the other family only. Undefined when it is not ours.
 * Names of the machine itself (loopback addresses) are not ours: they would mean the container.
 */
export function answerFromHosts(question: Buffer, hosts: ReadonlyMap<string, readonly string[]>): Buffer | undefined {
  const asked = readQuestion(question);
  if (!asked || asked.class !== classInternet || (asked.type !== typeA && asked.type !== typeAaaa)) return undefined;
  const addresses = hosts.get(asked.name)?.filter((address) => !address.startsWith("127.") && address !== "::1");
  if (!addresses || addresses.length === 0) return undefined;
  const wanted = addresses.filter(asked.type === typeA ? isIPv4 : isIPv6).slice(0, 16);
  const header = Buffer.alloc(headerBytes);
  header.writeUInt16BE(question.readUInt16BE(0), 0);
  header.writeUInt16BE(0x8080 | (question.readUInt16BE(2) & 0x0100), 2); // response, recursion available, recursion desired as asked
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(wanted.length, 6);
  const answers = wanted.map((address) => answerRecord(asked.type, address));
  return Buffer.concat([header, question.subarray(headerBytes, asked.end), ...answers]);
}

interface Question {
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** Offset of the first byte behind it. */
  readonly end: number;
}

/** The question of a standard query with exactly one. */
export function readQuestion(message: Buffer): Question | undefined {
  if (message.length < headerBytes + 5 || (message.readUInt16BE(2) & 0xf800) !== 0 || message.readUInt16BE(4) !== 1) return undefined;
  const labels: string[] = [];
  let at = headerBytes;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > maxLabelBytes) return undefined;
    at += 1;
    if (length === 0) break;
    labels.push(message.toString("latin1", at, at + length).toLowerCase());
    at += length;
  }
  if (at + 4 > message.length) return undefined;
  return { name: labels.join("."), type: message.readUInt16BE(at), class: message.readUInt16BE(at + 2), end: at + 4 };
}

function answerRecord(type: number, address: string): Buffer {
  const data = type === typeA ? Buffer.from(address.split(".").map(Number)) : bytesOfIpv6(address);
  const record = Buffer.alloc(12);
  record.writeUInt16BE(0xc000 | headerBytes, 0); // the name of the question
  record.writeUInt16BE(type, 2);
  record.writeUInt16BE(classInternet, 4);
  record.writeUInt32BE(timeToLiveS, 6);
  record.writeUInt16BE(data.length, 10);
  return Buffer.concat([record, data]);
}

function bytesOfIpv6(address: string): Buffer {
  const [head = "", tail] = address.replace(/%.*/, "").split("::");
  const groups = (text: string) => text.split(":").filter((group) => group !== "");
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const middle = Array.from({ length: tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length) }, () => "0");
  const bytes = Buffer.alloc(16);
  for (const [index, group] of [...left, ...middle, ...right].slice(0, 8).entries()) bytes.writeUInt16BE(Number.parseInt(group, 16) & 0xffff, index * 2);
  return bytes;
}

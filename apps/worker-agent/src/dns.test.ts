import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { startDnsProxy } from "./dns.ts";
import { answerFromHosts, parseHosts, parseResolvers, readQuestion } from "./dns-message.ts";

const folder = mkdtempSync(join(tmpdir(), "squall-dns-"));
afterAll(() => rmSync(folder, { recursive: true }));
const hostsPath = join(folder, "hosts");
const resolvPath = join(folder, "resolv.conf");
writeFileSync(hostsPath, "127.0.0.1 localhost machine\n10.1.2.3 mirror.internal Mirror # packages\nfd00::7 six.internal\n");
writeFileSync(resolvPath, "search example\nnameserver 127.0.0.1\n");

describe("dns proxy", () => {
  test("answers the machine's hosts file, and passes the rest to its resolvers", async () => {
    const upstream = createSocket("udp4");
    upstream.bind(0, "127.0.0.1");
    await once(upstream, "listening");
    const asked: string[] = [];
    upstream.on("message", (question, from) => {
      asked.push(readQuestion(question)?.name ?? "?");
      const answer = answerFromHosts(question, new Map([["far.example", ["192.0.2.9"]]]));
      if (answer) upstream.send(answer, from.port, from.address);
    });
    const proxy = await startDnsProxy({ address: "127.0.0.1", port: 0, hostsPath, resolvPath, resolverPort: upstream.address().port });
    const resolver = new Resolver({ timeout: 2_000, tries: 1 });
    resolver.setServers([`127.0.0.1:${proxy.port}`]);
    expect(await resolver.resolve4("mirror.internal")).toEqual(["10.1.2.3"]);
    expect(await resolver.resolve4("MIRROR")).toEqual(["10.1.2.3"]);
    expect(await resolver.resolve6("six.internal")).toEqual(["fd00::7"]);
    await expect(resolver.resolve6("mirror.internal")).rejects.toMatchObject({ code: "ENODATA" });
    expect(asked).toEqual([]);
    expect(await resolver.resolve4("far.example")).toEqual(["192.0.2.9"]);
    expect(asked).toEqual(["far.example"]);
    await proxy.close();
    upstream.close();
  });

  test("a packet too short for a question is dropped, whatever a resolver would answer", async () => {
    const upstream = createSocket("udp4");
    upstream.bind(0, "127.0.0.1");
    await once(upstream, "listening");
    const asked: number[] = [];
    upstream.on("message", (question, from) => {
      asked.push(question.length);
      upstream.send(Buffer.concat([question, Buffer.alloc(12)]), from.port, from.address);
    });
    const proxy = await startDnsProxy({ address: "127.0.0.1", port: 0, hostsPath, resolvPath, resolverPort: upstream.address().port });
    const client = createSocket("udp4");
    client.send(Buffer.alloc(1), proxy.port, "127.0.0.1");
    client.send(Buffer.alloc(12, "q"), proxy.port, "127.0.0.1");
    await once(client, "message");
    expect(asked).toEqual([12]);
    client.close();
    await proxy.close();
    upstream.close();
  });

  test("passes a tcp question on, byte for byte", async () => {
    const upstream = createServer((socket) => socket.once("data", (data) => socket.end(data)));
    upstream.listen(0, "127.0.0.1");
    await once(upstream, "listening");
    const at = upstream.address();
    const proxy = await startDnsProxy({ address: "127.0.0.1", port: 0, hostsPath, resolvPath, resolverPort: typeof at === "object" && at ? at.port : 0 });
    const { connect } = await import("node:net");
    const client = connect(proxy.port, "127.0.0.1");
    const question = Buffer.from("0005abcdef0102", "hex");
    client.write(question);
    const [echoed] = await once(client, "data");
    expect(echoed).toEqual(question);
    client.destroy();
    await proxy.close();
    upstream.close();
  });

  test("loopback names of the machine are not answered: they would mean the container", () => {
    const hosts = parseHosts("127.0.0.1 machine\n");
    const question = Buffer.from("0001010000010000000000000 76d616368696e650000010001".replaceAll(" ", ""), "hex");
    expect(readQuestion(question)?.name).toBe("machine");
    expect(answerFromHosts(question, hosts)).toBeUndefined();
  });

  test("no message makes the parser throw", () => {
    const hosts = parseHosts("10.1.2.3 a\n");
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        answerFromHosts(Buffer.from(bytes), hosts);
      }),
    );
    expect(parseResolvers("nameserver 10.0.0.1\n#nameserver 10.0.0.2\n nameserver fe80::1%eth0\n")).toEqual(["10.0.0.1", "fe80::1%eth0"]);
  });
});

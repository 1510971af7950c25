import type { Socket } from "node:net";

export type Protocol = "http2" | "http1";

const http2Preface = Buffer.from("PRI * HTTP/2.0\r\n");
const decidingBytes = 3; // POST, PUT and PATCH begin with P too

/**
 * Which protocol a new connection speaks, told by its first bytes; they are put back. Undefined when it ends, fails or says nothing within
 * `withinMs`: it is destroyed then.
 */
export function sniff(socket: Socket, { withinMs }: { readonly withinMs: number }): Promise<Protocol | undefined> {
  return new Promise((resolve) => {
    socket.on("error", () => {}); // between here and its server nobody else listens
    let head = Buffer.alloc(0);
    const timer = setTimeout(giveUp, withinMs);
    socket.on("readable", look);
    socket.on("end", giveUp);
    socket.on("error", giveUp);
    socket.on("close", giveUp);
    look();

    function look(): void {
      for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) head = Buffer.concat([head, chunk]);
      const isPrefix = http2Preface.subarray(0, head.length).equals(head.subarray(0, http2Preface.length));
      if (head.length < decidingBytes && (head.length === 0 || isPrefix)) return;
      done();
      socket.unshift(head);
      resolve(isPrefix ? "http2" : "http1");
    }
    function giveUp(): void {
      done();
      socket.destroy();
      resolve(undefined);
    }
    function done(): void {
      clearTimeout(timer);
      socket.off("readable", look);
      socket.off("end", giveUp);
      socket.off("error", giveUp);
      socket.off("close", giveUp);
    }
  });
}

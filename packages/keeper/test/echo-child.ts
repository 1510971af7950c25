/** Child of the keeper's tests: answers each line with its pid and the line; some lines are commands. */
import type net from "node:net";
import { closeDoor, connections, doors, openDoor, ready } from "../src/child.ts";

connections((_door, socket) => {
  socket.setEncoding("utf8");
  socket.on("error", () => socket.destroy());
  socket.once("data", (text) => void answer(socket, String(text).trim()));
});
process.on("SIGTERM", () => process.exit(0));
ready();

async function answer(socket: net.Socket, line: string): Promise<void> {
  const [word = "", argument = ""] = line.split(" ");
  if (word === "open") {
    await openDoor("container", { path: argument });
    socket.end("opened");
  } else if (word === "close") {
    await closeDoor("container");
    socket.end("closed");
  } else if (word === "doors") socket.end((await doors()).join(","));
  else if (word === "port") socket.end(process.env["ECHO_PORT"] ?? "");
  else if (word === "late") setTimeout(() => socket.end(line), Number(argument));
  else socket.end(`${process.pid} ${line}`);
}

/** Stands in for the api in the launcher's tests: answers /healthz; counts the agent that reported. */
import http from "node:http";
import { connections, ready } from "@squall/keeper/child";

let online = 0;
const server = http.createServer((request, response) => {
  if (request.url === "/online") online = 1;
  response.setHeader("connection", "close");
  response.end(JSON.stringify({ status: "ok", workers: { online }, url: process.env["SQUALL_PUBLIC_URL"] }));
});
connections((_door, socket) => server.emit("connection", socket));
process.on("SIGTERM", () => process.exit(0));
ready();

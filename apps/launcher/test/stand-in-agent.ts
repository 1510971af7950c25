/** Stands in for the agent in the launcher's tests: reports once, and opens one door. */
import { connections, openDoor, ready } from "@squall/keeper/child";

connections((_door, socket) => socket.destroy());
await fetch(`${process.env["SQUALL_API_URL"]}/online`);
await openDoor("container", { path: `${process.env["SQUALL_RUN"]}/container.sock` });
process.on("SIGTERM", () => process.exit(0));
ready();

import { createServer, type Server } from "node:net";

/** A numbered block of something that all instances of a machine share, held as long as the claim is. */
export interface Claim {
  readonly block: number;
  release(): Promise<void>;
}

/**
 * Claims the first free block of 0…count-1 by binding the abstract socket `@squall-<name>-<block>`: the kernel frees it when this process ends, however it
 * ends. `preferred` is tried first (the block held before a restart); `isUsable` skips blocks that collide with something outside of Squall.
 */
export async function claimBlock(options: { name: string; count: number; preferred?: number; isUsable?: (block: number) => boolean }): Promise<Claim> {
  const { name, count, preferred, isUsable = () => true } = options;
  const all = Array.from({ length: count }, (_, block) => block);
  const order = preferred === undefined ? all : [preferred, ...all.filter((block) => block !== preferred)];
  for (const block of order.filter(isUsable)) {
    const server = await bindAbstract(`\0squall-${name}-${block}`);
    if (server) return { block, release: () => new Promise((resolve) => server.close(() => resolve())) };
  }
  throw new Error(`all ${count} blocks of squall-${name} are taken or unusable on this machine`);
}

async function bindAbstract(address: string): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy());
  server.unref();
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => (error.code === "EADDRINUSE" ? resolve(undefined) : reject(error)));
    server.listen(address, () => resolve(server));
  });
}

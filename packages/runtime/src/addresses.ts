/**
 * The addresses of containers: 10.231.0.0/16 in blocks of 1,024, one block per instance. In a block, address 1 is the host's end of every link, slot n has
 * address n + 2.
 */
export const networkBlockCount = 64;

/** How many links one block holds (all but the network, host and broadcast addresses). */
export const slotsPerBlock = 1021;

const base = (10 << 24) | (231 << 16);
const blockSize = 1024;

/** The host's address of a block. */
export function hostAddress(block: number): string {
  return format(base + block * blockSize + 1);
}

/** The container's address of a slot. */
export function slotAddress(block: number, slot: number): string {
  return format(base + block * blockSize + 2 + slot);
}

/** The block in CIDR notation. */
export function blockSubnet(block: number): string {
  return `${format(base + block * blockSize)}/22`;
}

/** The block that an address of a container or of the host's end belongs to; undefined for other addresses. */
export function blockOfAddress(address: string): number | undefined {
  const number = parse(address);
  const block = number === undefined ? -1 : Math.floor((number - base) / blockSize);
  return block >= 0 && block < networkBlockCount ? block : undefined;
}

/** Whether an address of the machine lies in the block: then the block is not ours to use. */
export function blockContains(block: number, address: string): boolean {
  return blockOfAddress(address) === block;
}

function format(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join(".");
}

function parse(text: string): number | undefined {
  const parts = text.split(".").map(Number);
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255)) return undefined;
  return parts.reduce((number, part) => number * 256 + part, 0);
}

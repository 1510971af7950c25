/**
 * Whether the same statement may succeed on another connection or later: the connection broke, or the server is away, starting, stopping or full.
 * What PostgreSQL itself says carries a severity and an SQLSTATE; of those only the named classes pass by themselves.
 */
export function isConnectionTrouble(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof TypeError || error instanceof RangeError) return false;
  if (!("severity" in error)) return true;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  const passing = ["08", "53", "57"]; // connection, resources, operator
  return passing.includes(code.slice(0, 2)) || code === "40001" || code === "40P01" || code === "25006"; // serialisation, deadlock, read-only standby
}

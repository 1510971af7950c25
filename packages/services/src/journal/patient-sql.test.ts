import { expect, test } from "vitest";
import { PatientSql } from "./patient-sql.ts";
import type { SqlQuery } from "./sql.ts";

const query: SqlQuery = { text: "SELECT 1", values: [] };
const refused = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
const broken = Object.assign(new Error("write EPIPE"), { code: "EPIPE" });
const starting = Object.assign(new Error("the database system is starting up"), { severity: "FATAL", code: "57P03" });
const wrong = Object.assign(new Error("syntax error"), { severity: "ERROR", code: "42601" });

function failing(errors: Error[]) {
  return {
    query: async () => {
      const error = errors.shift();
      if (error !== undefined) throw error;
      return { rows: [{ done: 1 }] };
    },
  };
}

test("a read is held while the database is away", async () => {
  expect(await new PatientSql(failing([refused, broken, starting])).query(query)).toEqual({ rows: [{ done: 1 }] });
});

test("patience is bounded, and the caller is told to come back", async () => {
  await expect(new PatientSql(failing([refused, refused, refused]), { holdMs: 0 }).query(query)).rejects.toMatchObject({
    code: "unavailable",
    retryAfterMs: 1000,
  });
});

test("a statement that the database refuses fails at once", async () => {
  await expect(new PatientSql(failing([wrong])).query(query)).rejects.toBe(wrong);
});

import { expect, test } from "vitest";
import { authorize, authorizeAccess, parseAccess, roleCells } from "./authorize.ts";
import type { Actor, Role } from "./context.ts";

const user = (role: Role) => ({ actor: { kind: "user", userId: "us-1", tokenId: undefined, role } as Actor });
const container = { actor: { kind: "container" } as Actor };

test("the whole table, cell by cell", () => {
  const matrix = roleCells().map(({ resource, action, who }) => `${resource}.${action}: ${who.map((each) => each.slice(0, 2)).join(" ")}`);
  expect(matrix).toMatchInlineSnapshot(`
    [
      "workspace.read: ow ma me vi co",
      "environment.read: ow ma me vi co",
      "environment.write: ow ma",
      "app.read: ow ma me vi co",
      "app.write: ow ma me",
      "function.read: ow ma me vi co",
      "function.write: ow ma me",
      "functionCall.read: ow ma me vi co",
      "functionCall.write: ow ma me co",
      "container.read: ow ma me vi co",
      "container.write: ow ma me co",
      "worker.read: ow ma me vi",
      "worker.write: ow ma",
      "image.read: ow ma me vi co",
      "image.write: ow ma me",
      "mount.read: ow ma me vi co",
      "mount.write: ow ma me",
      "blob.read: ow ma me vi co",
      "blob.write: ow ma me co",
      "secret.read: ow ma me vi co",
      "secret.write: ow ma me",
      "log.read: ow ma me vi",
      "usage.read: ow ma me vi",
      "token.read: ow ma me vi",
      "token.write: ow ma",
    ]
  `);
});

test("what a role may not, it is refused with its name", () => {
  expect(() => authorize(user("viewer"), "secret", "write")).toThrow(/Your role \(viewer\) may not write/);
  expect(() => authorize(user("member"), "environment", "write")).toThrow(/member/);
  expect(() => authorize(container, "secret", "write")).toThrow(/inside a container/);
  expect(() => authorize(container, "token", "read")).toThrow(/inside a container/);
});

test("no cell allows a viewer to change anything, or a container to manage anything", () => {
  const changing = roleCells().filter(({ action }) => action !== "read");
  expect(changing.filter(({ who }) => who.includes("viewer"))).toEqual([]);
  const fromContainer = changing.filter(({ who }) => who.includes("container")).map(({ resource }) => resource);
  expect(fromContainer).toEqual(["functionCall", "container", "blob"]);
});

test("every higher role may do what a lower one may", () => {
  const ladder: readonly Role[] = ["owner", "manager", "member", "viewer"];
  for (const { who } of roleCells()) {
    const lowest = ladder.findLastIndex((role) => who.includes(role));
    expect(ladder.slice(0, lowest + 1).filter((role) => !who.includes(role))).toEqual([]);
  }
});

test("a cell that does not exist is a bug, not a refusal", () => {
  expect(() => parseAccess({ resource: "secrets", action: "read" })).toThrow(/no cell secrets.read/);
  expect(() => parseAccess({ resource: "secret", action: "toString" })).toThrow(/no cell/);
  expect(() => parseAccess({ resource: "constructor", action: "name" })).toThrow(/no cell/);
  expect(() => authorizeAccess(user("owner"), { resource: "log", action: "write" })).toThrow(/no cell/);
});

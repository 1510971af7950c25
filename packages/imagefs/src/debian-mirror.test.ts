import { expect, test } from "vitest";
import { debianMirrors, sourceLines } from "./debian-mirror.ts";

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

test("a machine with its own mirror builds from it, archive and security apart", () => {
  const text = `Types: deb
# a comment
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /etc/keys/mine.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
`;
  expect(debianMirrors([{ name: "debian.sources", text }])).toEqual({
    archive: { url: "http://mirror.example/debian", keyring: "/etc/keys/mine.gpg" },
    security: { url: "http://mirror.example/debian-security", keyring },
  });
});

test("one-line sources are read, other vendors' repositories are not taken for Debian", () => {
  const text = `deb https://packages.example.com/apt cloud-sdk-bookworm main
# deb http://off.example/debian bookworm main
deb [signed-by=/k.gpg arch=amd64] http://mirror.example/debian trixie main contrib
deb http://mirror.example/security trixie-security main`;
  expect(debianMirrors([{ name: "/etc/apt/sources.list", text }])).toEqual({
    archive: { url: "http://mirror.example/debian", keyring: "/k.gpg" },
    security: { url: "http://mirror.example/security", keyring },
  });
});

test("another distribution, or a stanza that is switched off, falls back to Debian's own archive", () => {
  const ubuntu = { name: "ubuntu.sources", text: "Types: deb\nURIs: http://archive.ubuntu.example/ubuntu\nSuites: noble\nComponents: main\n" };
  const off = { name: "debian.sources", text: "Types: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n" };
  expect(debianMirrors([ubuntu, off]).archive.url).toBe("http://deb.debian.org/debian");
});

test("source lines name the key ring for each suite of the release", () => {
  const archive = { url: "http://m/debian", keyring };
  expect(sourceLines({ archive, security: { ...archive, url: "http://m/sec" } }, "bookworm")).toBe(
    `deb [signed-by=${keyring}] http://m/debian bookworm main\ndeb [signed-by=${keyring}] http://m/debian bookworm-updates main\ndeb [signed-by=${keyring}] http://m/sec bookworm-security main\n`,
  );
});

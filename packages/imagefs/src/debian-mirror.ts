/** Reads where this machine gets Debian packages from, so that the base is built from the same place. */

/** One archive, as apt's one-line format wants it: options in brackets, and the address. */
export interface DebianArchive {
  readonly url: string;
  readonly keyring: string;
}

export interface DebianMirrors {
  readonly archive: DebianArchive;
  readonly security: DebianArchive;
}

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
const official: DebianMirrors = {
  archive: { url: "http://deb.debian.org/debian", keyring },
  security: { url: "http://deb.debian.org/debian-security", keyring },
};

interface Source {
  readonly url: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
  readonly signedBy: string | undefined;
}

/** The Debian archives among apt's source files (deb822 and one-line), or Debian's official ones where none is set (another distribution). */
export function debianMirrors(files: readonly { readonly name: string; readonly text: string }[]): DebianMirrors {
  const sources = files.flatMap(({ name, text }) => (name.endsWith(".sources") ? stanzas(text) : oneLiners(text)));
  const debian = sources.filter(({ components, suites }) => components.includes("main") && suites.some((suite) => isDebian.test(suite)));
  const security = debian.find(({ suites }) => suites.some((suite) => suite.endsWith("-security")));
  const archive = debian.find((source) => source !== security);
  return { archive: archive ? toArchive(archive) : official.archive, security: security ? toArchive(security) : official.security };
}

/** The lines of a sources.list for one release, naming the key ring so that only Debian's own keys count. */
export function sourceLines({ archive, security }: DebianMirrors, release: string): string {
  const line = ({ url, keyring: ring }: DebianArchive, suite: string) => `deb [signed-by=${ring}] ${url} ${suite} main`;
  return `${[line(archive, release), line(archive, `${release}-updates`), line(security, `${release}-security`)].join("\n")}\n`;
}

const isDebian = /^(buster|bullseye|bookworm|trixie|forky|sid|stable|testing|unstable|oldstable)(-updates|-security)?$/;

function toArchive({ url, signedBy }: Source): DebianArchive {
  return { url: url.replace(/\/+$/, ""), keyring: signedBy?.startsWith("/") ? signedBy : keyring };
}

function stanzas(text: string): Source[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const lines = stanza.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("#"));
    const field = (name: string) =>
      lines
        .find((line) => line.toLowerCase().startsWith(`${name}:`))
        ?.slice(name.length + 1)
        .trim();
    const url = field("uris")?.split(/\s+/)[0];
    const isBinary = field("types")?.split(/\s+/).includes("deb") && field("enabled") !== "no";
    if (!url || !isBinary) return [];
    return [{ url, suites: words(field("suites")), components: words(field("components")), signedBy: field("signed-by") }];
  });
}

function oneLiners(text: string): Source[] {
  return text.split("\n").flatMap((line) => {
    const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)$/.exec(line.trim());
    if (!match) return [];
    const [, options = "", url = "", suite = "", components = ""] = match;
    return [{ url, suites: [suite], components: words(components), signedBy: /signed-by=(\S+)/.exec(options)?.[1] }];
  });
}

function words(text: string | undefined): string[] {
  return (text ?? "").split(/\s+/).filter(Boolean);
}

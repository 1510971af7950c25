/** Which images we have ready, decided from an image's definition alone. */
import { pythonBase } from "./base-image.ts";

/** What a client sent for one layer of an image: plain values, no wire message. */
export interface ImageDefinition {
  /** Dockerfile lines in order. */
  readonly dockerfileCommands: readonly string[];
  /** Keys of the images below this one (as `recognise` gave them), by their tag in the definition; empty for a first layer. */
  readonly baseImageKeys: readonly string[];
  /** Names of files that come with the definition. */
  readonly contextFiles: readonly string[];
  /** True when the layer runs a function, copies a mount, or asks for anything else that is not a Dockerfile line. */
  readonly hasOtherSteps: boolean;
  /** The client's image builder version, as `2025.06`. */
  readonly builderVersion: string;
}

/** Either a root file system that stands ready, or the first thing that somebody would have to build. */
export type Recognised =
  | { readonly kind: "root"; readonly imageKey: string; readonly pythonVersion: string }
  | { readonly kind: "needsBuild"; readonly firstLine: string; readonly reason: string };

const python = /^FROM (?:docker\.io\/)?(?:library\/)?python:(\d+\.\d+)(?:\.\d+)?-slim-(\w+)$/;

/** The lines after FROM that the client's `debian_slim` sends with builder 2025.06. Our base answers all of them. */
const debianSlim: readonly string[] = [
  "RUN apt-get update",
  "RUN apt-get install -y gcc gfortran build-essential",
  "RUN pip install --upgrade pip wheel uv",
  "RUN echo 'debconf debconf/frontend select Noninteractive' | debconf-set-selections",
  'CMD ["sleep", "172800"]',
];

/**
 * Recognises `debian_slim` (its exact lines of builder 2025.06) and `FROM python:3.11-slim-bookworm` alone, with any patch number. Everything else answers
 * `needsBuild` with the first line that we cannot honour and a reason that may be shown to the caller.
 */
export function recognise(definition: ImageDefinition): Recognised {
  const lines = definition.dockerfileCommands.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
  const [from = "", ...steps] = lines;
  if (definition.hasOtherSteps && lines.length === 0) return needsBuild("", "this image has a step that runs code while it is built");
  const base = python.exec(from);
  const added = from.startsWith("FROM base") && definition.baseImageKeys.length > 0 ? steps[0] : undefined;
  if (added !== undefined) return needsBuild(added, "it is a build step on top of another image");
  if (!base) return needsBuild(from, "it starts from another image");
  if (base[1] !== pythonBase.series) return needsBuild(from, `Python ${base[1]} is not available yet, only Python ${pythonBase.series} is`);
  if (base[2] !== pythonBase.debian) return needsBuild(from, `Debian ${base[2]} is not available yet, only ${pythonBase.debian} is`);
  const foreign = steps.find((line, index) => line !== debianSlim[index]) ?? (isWhole(steps) ? undefined : steps.at(-1));
  if (foreign !== undefined) return needsBuild(foreign, "it is a build step");
  if (definition.contextFiles.length > 0 || definition.hasOtherSteps) return needsBuild(from, "it brings files or runs code while it is built");
  return { kind: "root", imageKey: pythonBase.imageKey, pythonVersion: pythonBase.version };
}

/** A prefix of the list is an image of its own to us only when it is empty: half of `debian_slim` is somebody's Dockerfile. */
function isWhole(steps: readonly string[]): boolean {
  return steps.length === 0 || steps.length === debianSlim.length;
}

function needsBuild(firstLine: string, reason: string): Recognised {
  const available = `Image.debian_slim(python_version="${pythonBase.series}") and the plain image python:${pythonBase.series}-slim-${pythonBase.debian}`;
  const what = firstLine === "" ? "This image" : `The image line "${firstLine}"`;
  return { kind: "needsBuild", firstLine, reason: `${what} cannot be built yet: ${reason}. Image builds come later; ready today are ${available}.` };
}

import { describe, expect, test } from "vitest";
import { type ImageDefinition, recognise } from "./recognise.ts";

const debianSlim = (version: string) => [
  `FROM python:${version}-slim-bookworm`,
  "RUN apt-get update",
  "RUN apt-get install -y gcc gfortran build-essential",
  "RUN pip install --upgrade pip wheel uv",
  "RUN echo 'debconf debconf/frontend select Noninteractive' | debconf-set-selections",
  'CMD ["sleep", "172800"]',
];

function definition(dockerfileCommands: readonly string[], more: Partial<ImageDefinition> = {}): ImageDefinition {
  return { dockerfileCommands, baseImageKeys: [], contextFiles: [], hasOtherSteps: false, builderVersion: "2025.06", ...more };
}

describe("images that stand ready", () => {
  test.each(["3.11", "3.11.2", "3.11.12"])("debian_slim of Python %s is the base root", (version) => {
    expect(recognise(definition(debianSlim(version)))).toEqual({ kind: "root", imageKey: "base/python-3.11-bookworm", pythonVersion: "3.11.2" });
  });

  test.each(["python:3.11-slim-bookworm", "python:3.11.12-slim-bookworm", "docker.io/library/python:3.11-slim-bookworm"])(
    "FROM %s alone is the base root",
    (tag) => {
      expect(recognise(definition([`FROM ${tag}`])).kind).toBe("root");
    },
  );

  test("blank lines and comments do not matter", () => {
    expect(recognise(definition(["# mine", "", " FROM python:3.11-slim-bookworm "])).kind).toBe("root");
  });
});

describe("images that somebody would have to build name their first such line", () => {
  const cases: readonly (readonly [string, ImageDefinition, string])[] = [
    ["another Python", definition(debianSlim("3.12.10")), "FROM python:3.12.10-slim-bookworm"],
    ["another Debian", definition(["FROM python:3.11-slim-trixie"]), "FROM python:3.11-slim-trixie"],
    ["a full image", definition(["FROM python:3.11"]), "FROM python:3.11"],
    ["another image", definition(["FROM ubuntu:24.04", "RUN true"]), "FROM ubuntu:24.04"],
    ["a look-alike registry", definition(["FROM example.org/python:3.11-slim-bookworm"]), "FROM example.org/python:3.11-slim-bookworm"],
    [
      "a step after the base",
      definition(["FROM base", "RUN python -m pip install numpy"], { baseImageKeys: ["base/python-3.11-bookworm"] }),
      "RUN python -m pip install numpy",
    ],
    ["one more step after debian_slim", definition([...debianSlim("3.11.12"), "RUN true"]), "RUN true"],
    ["a changed step", definition(debianSlim("3.11.12").with(2, "RUN apt-get install -y git")), "RUN apt-get install -y git"],
    ["half of debian_slim", definition(debianSlim("3.11.12").slice(0, 3)), "RUN apt-get install -y gcc gfortran build-essential"],
    ["swapped steps", definition(debianSlim("3.11.12").with(1, "CMD []")), "CMD []"],
    ["files in its context", definition(debianSlim("3.11.12"), { contextFiles: ["/.requirements.txt"] }), "FROM python:3.11.12-slim-bookworm"],
    ["a function run while building", definition([], { hasOtherSteps: true }), ""],
    ["nothing at all", definition([]), ""],
  ];

  test.each(cases)("%s", (_name, input, firstLine) => {
    const answer = recognise(input);
    expect(answer.kind).toBe("needsBuild");
    if (answer.kind !== "needsBuild") return;
    expect(answer.firstLine).toBe(firstLine);
    expect(answer.reason).toContain("come later");
    expect(answer.reason).toContain('debian_slim(python_version="3.11")');
    if (firstLine) expect(answer.reason).toContain(firstLine);
  });

  test("another Python names the one that is there", () => {
    const answer = recognise(definition(debianSlim("3.13.3")));
    expect(answer.kind === "needsBuild" && answer.reason).toContain("Python 3.13 is not available yet, only Python 3.11 is");
  });
});

import { toBinary } from "@bufbuild/protobuf";
import { ServiceError } from "@squall/core/errors";
import { isId } from "@squall/core/ids";
import { recognise } from "@squall/imagefs/recognise";
import { GenericResult_GenericStatus, type Image, ImageSchema, type ModalClient } from "@squall/protocol/modal";
import { getImage } from "@squall/services/image/get";
import { getOrCreateImage } from "@squall/services/image/get-or-create";
import type { StoredImage } from "@squall/services/image/stored-image";
import { type Procedures, procedure } from "../procedure.ts";

const builderVersion = "2025.06";

/** Images that stand ready; everything that would need a build is refused by its first line. */
export function imageProcedures() {
  return {
    imageGetOrCreate: procedure({ resource: "image", action: "write" }, async (request, { ctx }) => {
      const { image } = request;
      if (!image) throw new ServiceError("invalidArgument", "The request has no image.");
      const recognised = recognise(definitionOf(image, request.builderVersion || builderVersion));
      const input = { definition: toBinary(ImageSchema, image), builderVersion: request.builderVersion || builderVersion, recognised };
      return imageAnswer(await getOrCreateImage({ ctx, input }));
    }),

    imageFromId: procedure({ resource: "image", action: "read" }, async ({ imageId }, { ctx }) => {
      const { imageId: id, metadata } = imageAnswer(await find(ctx, imageId));
      return { imageId: id, metadata };
    }),

    imageJoinStreaming: procedure({ resource: "image", action: "read" }, async function* ({ imageId }, { ctx }) {
      const { result, metadata } = imageAnswer(await find(ctx, imageId));
      yield { result, metadata, eof: true };
    }),
  } satisfies Procedures<typeof ModalClient>;
}

type Ctx = Parameters<typeof getImage>[0]["ctx"];

async function find(ctx: Ctx, imageId: string): Promise<StoredImage> {
  if (!isId("image", imageId)) throw new ServiceError("invalidArgument", `${JSON.stringify(imageId.slice(0, 80))} is not the id of an image.`);
  return getImage({ ctx, input: { imageId } });
}

function imageAnswer({ id, pythonVersion }: StoredImage) {
  return {
    imageId: id,
    result: { status: GenericResult_GenericStatus.SUCCESS },
    metadata: { imageBuilderVersion: builderVersion, pythonVersionInfo: `Python ${pythonVersion}` },
  };
}

function definitionOf(image: Image, version: string) {
  return {
    dockerfileCommands: image.dockerfileCommands,
    baseImageKeys: image.baseImages.map((base) => base.imageId),
    contextFiles: image.contextFiles.map((file) => file.filename),
    hasOtherSteps: image.contextMountId !== "" || image.buildFunction !== undefined || image.secretIds.length > 0 || image.volumeMounts.length > 0,
    builderVersion: version,
  };
}

import { ServiceError } from "@squall/core/errors";

const maxTagCharacters = 256;
// What Python can name, plus the service function of a class ("Name.*") and serialised functions.
const tagShape = /^[A-Za-z0-9_.*<>\-[\]]+$/;

/** Throws unless `tag` is a name that a client could have made. */
export function checkTag(tag: string): void {
  if (tag.length === 0 || tag.length > maxTagCharacters || !tagShape.test(tag))
    throw new ServiceError(
      "invalidArgument",
      `Function name ${JSON.stringify(tag.slice(0, 80))} is not valid: up to ${maxTagCharacters} letters, digits and _ . - are.`,
    );
}

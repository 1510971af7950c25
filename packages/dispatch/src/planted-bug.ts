/**
 * Mistakes that a change could bring in, kept as switches so that the simulation proves that it would notice each of them. Tests only: nothing
 * but the simulation may set one.
 */
export type PlantedBug =
  /** Outputs of superseded attempts count. */
  | "noFence"
  /** Inputs of a lost container are forgotten. */
  | "forgetRedelivery"
  /** After a restart inputs are given out before the workers were heard. */
  | "noHold"
  /** Attempts that a worker re-reports are ignored. */
  | "noAdopt"
  /** A redelivered input keeps its retry count. */
  | "sameRetryCount"
  /** Infrastructure losses use up the user's retries. */
  | "lossesCountAsFailures"
  /** Lost inputs are redelivered for ever. */
  | "unboundedLosses"
  /** Cancelling ends what runs and forgets what waits. */
  | "cancelForgetsQueued"
  /** Output sequences start from 1 again after a restart. */
  | "sequenceRestarts"
  /** Deliveries that a worker never got stay assigned. */
  | "forgetUndelivered"
  /** Inputs of a function that cannot start wait for ever. */
  | "unboundedCrashLoop"
  /** Of the driver: outputs can be read before they are stored. */
  | "publishBeforeStored"
  /** Of the driver: a submission is acknowledged before it is stored. */
  | "replyBeforeStored"
  /** Of the database: a repeated submission makes a second call. */
  | "noIdempotency"
  /** A retry that waits for its delay is forgotten. */
  | "forgetDelayed";

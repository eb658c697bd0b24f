/** Kinds of the frames between replicas of leaderless databases; see runtime/peer-frames.ts for whose the others are. */

/** Revisions to be joined: revision-codec.ts. */
export const insertKind = 48;
/** A digest of what you have of a document. */
export const digestsKind = 49;
/** All that you have of a document. */
export const documentsKind = 50;
/** What is rare, as JSON: replica-questions.ts. */
export const questionKind = 51;
/** A chunk of an attachment's content. */
export const contentKind = 52;
/** A question of a round of anti-entropy: comparison-codec.ts. */
export const compareKind = 54;
/** I am here, and how I am. */
export const heartbeatKind = 53;
/** All that you have of a document, if you know all that you once acknowledged. */
export const readKind = 55;
/** A part of what you have of a document that comes in parts: document-parts.ts. */
export const partKind = 56;

/** Those that are answered. */
export const replicaKinds: ReadonlySet<number> = new Set([
  ...[insertKind, digestsKind, documentsKind, questionKind, contentKind, compareKind, readKind, partKind],
]);

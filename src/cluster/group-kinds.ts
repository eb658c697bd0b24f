/** The frames between nodes that belong to the group; see peer-frames.ts for whose the others are. */

/** What members' cores say: group-codec.ts. */
export const letterKind = 16;
/** A question with an answer: group-calls.ts. */
export const callKind = 17;
/** The leader says through which index all members have the log: group-truncation.ts. */
export const truncateKind = 18;

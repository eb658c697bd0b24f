/**
 * Position tokens: how a client says where in a changes feed it is.
 *
 * A token is `place-incarnation`, for example `42-5f1c…`. The incarnation is drawn at random when a database is
 * created, so a token of another replica, or of a database deleted since, cannot be taken for one of ours. Such a
 * token rewinds to the beginning: a client then sees changes again, but can never skip one. Only URL-safe characters
 * occur, because some clients put tokens into URLs unencoded.
 */

export interface Position {
  readonly incarnation: string;
  /** How many changes of that incarnation are before this position. */
  readonly place: number;
}

export type PositionToken =
  | { readonly kind: 'position'; readonly position: Position }
  | { readonly kind: 'beginning' }
  | { readonly kind: 'now' }
  | { readonly kind: 'malformed' };

const TOKEN = /^"?(\d{1,15})(?:-([0-9a-zA-Z_.=~-]{1,1024}))?"?$/;

export function formatPosition(position: Position): string {
  return `${position.place}-${position.incarnation}`;
}

/** Reads `since`: a token of any origin, `0`, `now`, or nothing. */
export function parsePosition(text: string): PositionToken {
  if (text === 'now') return { kind: 'now' };
  if (text === '' || text === '0') return { kind: 'beginning' };
  const match = TOKEN.exec(text);
  if (match === null) return { kind: 'malformed' };
  return { kind: 'position', position: { place: Number(match[1]), incarnation: match[2] ?? '' } };
}

/**
 * The place to read on from. A token of another incarnation, or one past the end (a restored backup), rewinds to 0.
 */
export function resumeFrom(position: Position, here: Position): number {
  const ours = position.incarnation === here.incarnation && position.place <= here.place;
  return ours ? position.place : 0;
}

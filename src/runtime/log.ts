/** Where a node says what happens to it. Never a password, a secret or a document's content. */

export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

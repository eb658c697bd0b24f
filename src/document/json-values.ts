/** What JSON.parse gives, looked at. */

/** Beyond ASCII: only then do code units and bytes of UTF-8 differ. */
const nonAscii = /[\u0080-\uffff]/;
const encoder = new TextEncoder();

export type JsonObject = Readonly<Record<string, unknown>>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether it is equal to another exactly when `===` says so. */
export function isPlainValue(value: unknown): boolean {
  return typeof value !== 'object' || value === null;
}

/** Bytes of a text in UTF-8. */
export function utf8Length(text: string): number {
  return nonAscii.test(text) ? encoder.encode(text).length : text.length;
}

/** Whether at most `depthMax` arrays and objects stand inside each other. */
export function isWithinDepth(value: unknown, depthMax: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depthMax > 0 && Object.values(value).every((inner) => isWithinDepth(inner, depthMax - 1));
}

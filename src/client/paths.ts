/** Paths of databases and documents, as a URL needs them. */

export function databasePath(name: string): string {
  return `/${encodeURIComponent(name)}`;
}

/** `_design/` and `_local/` keep their slash. */
export function documentPath(id: string): string {
  const kind = /^_(design|local)\//.exec(id)?.[0] ?? '';
  return kind + encodeURIComponent(id.slice(kind.length));
}

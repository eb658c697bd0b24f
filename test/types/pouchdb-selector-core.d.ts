/** What the tests use of pouchdb-selector-core, which ships without types. */
declare module 'pouchdb-selector-core' {
  export function matchesSelector(document: object, selector: object): boolean;
}

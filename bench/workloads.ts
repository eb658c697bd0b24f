/** What the load client sends: the requests of each kind of load, made from a counter. */

import { requestText } from './http-connection.ts';

export type Load =
  /** New documents under ids that begin with `prefix`. */
  | { readonly kind: 'put'; readonly prefix: string }
  /** Documents loaded by `bulk`, in a scattered order. */
  | { readonly kind: 'get'; readonly prefix: string; readonly documents: number }
  | { readonly kind: 'bulk'; readonly prefix: string; readonly documentsPerRequest: number }
  /** The same request again and again. */
  | { readonly kind: 'path'; readonly path: string }
  /** One document, written again on top of its winner. */
  | { readonly kind: 'rewrite'; readonly id: string; readonly revision: string };

export const documentBytes = 256;

export function documentId(prefix: string, index: number): string {
  return `${prefix}${String(index).padStart(8, '0')}`;
}

/** A JSON document of exactly `documentBytes` bytes with its `_id`. */
export function documentText(id: string, index: number): string {
  const start = `{"_id":"${id}","kind":"note","count":${index},"done":${index % 2 === 0},"text":"`;
  return `${start}${filler(index, documentBytes - start.length - 2)}"}`;
}

const letters = 'the quick brown fox jumps over a lazy dog while seven wise wizards vex nobody at all ';

/** Text that differs from document to document, so that compression has real work. */
function filler(index: number, length: number): string {
  const at = (index * 31) % letters.length;
  return (letters.slice(at) + letters.repeat(4)).slice(0, length);
}

function bulkText(prefix: string, firstIndex: number, documents: number): string {
  const texts = Array.from({ length: documents }, (_, i) => {
    return documentText(documentId(prefix, firstIndex + i), firstIndex + i);
  });
  return `{"docs":[${texts.join(',')}]}`;
}

/** The request with this number; a rewrite needs the revision that the one before it made. */
export function requestOf(load: Load, database: string, index: number, revision: string): string {
  switch (load.kind) {
    case 'put': {
      const id = documentId(load.prefix, index);
      return requestText('PUT', `/${database}/${id}`, documentText(id, index));
    }
    case 'get':
      // A step that shares no factor with the number of documents visits each of them once before any of them twice.
      return requestText('GET', `/${database}/${documentId(load.prefix, (index * 7_919) % load.documents)}`);
    case 'bulk': {
      const body = bulkText(load.prefix, index * load.documentsPerRequest, load.documentsPerRequest);
      return requestText('POST', `/${database}/_bulk_docs`, body);
    }
    case 'path':
      return requestText('GET', `/${database}/${load.path}`);
    case 'rewrite':
      return requestText('PUT', `/${database}/${load.id}`, JSON.stringify({ _rev: revision, count: index }));
  }
}

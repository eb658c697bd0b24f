/**
 * Documents with their attachments as `multipart/related` (the JSON first, then each content as it is), and several
 * revisions as `multipart/mixed` of those.
 */

import { randomBytes } from 'node:crypto';
import type { Database } from '../database/database.ts';
import type { DocumentRevision, OpenRevision } from '../database/model.ts';
import { renderDocument } from '../document/document.ts';
import {
  contentsFor,
  type DocumentView,
  renderForReader,
  throughHooks,
  withoutHiddenPath,
} from './document-answer.ts';
import type { Exchange } from './exchange.ts';
import type { StreamedAnswer } from './streamed-answer.ts';

interface Writing {
  readonly exchange: Exchange;
  readonly database: Database;
  readonly answer: StreamedAnswer;
  readonly boundary: string;
}

export function newBoundary(): string {
  return randomBytes(16).toString('hex');
}

export function multipartType(kind: 'related' | 'mixed', boundary: string): string {
  return `multipart/${kind}; boundary="${boundary}"`;
}

/** Writes a document and the contents its view shows, without the closing boundary. */
export async function writeRelated(
  writing: Writing,
  document: DocumentRevision,
  view: DocumentView,
): Promise<void> {
  const { exchange, database, answer, boundary } = writing;
  const wanted = contentsFor(document, view);
  const following = new Set(wanted.map((attachment) => attachment.name));
  const json = renderDocument(withoutHiddenPath(document, view), { following });
  answer.text(`--${boundary}\r\nContent-Type: application/json\r\n\r\n`);
  answer.bytes(throughHooks(exchange, database, json));
  for (const { name, contentType, length, blob } of wanted) {
    answer.text(`\r\n--${boundary}\r\nContent-Disposition: attachment; filename="${quotable(name)}"\r\n`);
    answer.text(`Content-Type: ${contentType}\r\nContent-Length: ${length}\r\n\r\n`);
    for await (const chunk of database.readBlob(blob)) {
      answer.bytes(chunk);
      if (answer.isFull) await answer.flush();
    }
  }
  answer.text('\r\n');
}

/** One part of a `multipart/mixed` answer: a document, a document with contents, or word that it is missing. */
export async function writeRevisionPart(
  writing: Writing,
  revision: OpenRevision,
  view: DocumentView,
): Promise<void> {
  const { exchange, database, answer, boundary } = writing;
  if (revision.kind === 'missing') {
    writeErrorPart(writing, { missing: revision.revision });
    return;
  }
  if (contentsFor(revision.document, view).length > 0) {
    const inner = newBoundary();
    answer.text(`--${boundary}\r\nContent-Type: ${multipartType('related', inner)}\r\n\r\n`);
    await writeRelated({ ...writing, boundary: inner }, revision.document, view);
    answer.text(`--${inner}--\r\n`);
    return;
  }
  answer.text(`--${boundary}\r\nContent-Type: application/json\r\n\r\n`);
  answer.bytes(renderForReader(exchange, database, withoutHiddenPath(revision.document, view)));
  answer.text('\r\n');
}

/** CouchDB's replicator knows a part with `error="true"` for what it is. */
export function writeErrorPart({ answer, boundary }: Writing, error: object): void {
  answer.text(
    `--${boundary}\r\nContent-Type: application/json; error="true"\r\n\r\n${JSON.stringify(error)}\r\n`,
  );
}

export function finishMultipart(answer: StreamedAnswer, boundary: string): void {
  answer.text(`--${boundary}--\r\n`);
}

/** A name inside a quoted header parameter: whatever could end the quotes or the line is percent-encoded. */
function quotable(name: string): string {
  return name.replace(/["\\%\p{Cc}]/gu, (character) => encodeURIComponent(character));
}

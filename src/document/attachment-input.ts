/** The `_attachments` member as a client writes it: stubs, inline base64, or content that follows in the same body. */

import { failure, type TercetError } from '../errors.ts';
import type { AttachmentInput } from './document.ts';
import { isJsonObject, utf8Length } from './json-values.ts';

const base64Pattern = /^[A-Za-z0-9+/]*={0,2}$/;
const contentTypeDefault = 'application/octet-stream';
/** What an HTTP header can carry, where it will be sent back one day (RFC 9110 §5.5). */
const contentTypePattern = /^[\t\x20-\x7e\x80-\xff]*$/;
const contentTypeLengthMax = 1_024;

/**
 * Checks form only; sizes and digests are checked where the content is.
 * @throws TercetError `doc_validation`, `bad_request`
 */
export function parseAttachments(value: unknown, nameBytesMax: number): readonly AttachmentInput[] {
  if (!isJsonObject(value)) throw failure('doc_validation', '_attachments must be an object');
  return Object.keys(value).map((name) => {
    checkAttachmentName(name, nameBytesMax);
    const attachment = value[name];
    if (!isJsonObject(attachment)) throw invalid(name, 'must be an object');
    return parseAttachment(name, attachment);
  });
}

/** @throws TercetError `bad_request` */
export function checkAttachmentName(name: string, bytesMax: number): void {
  if (name === '') throw failure('bad_request', 'Attachment name must not be empty');
  if (name.startsWith('_')) {
    throw failure('bad_request', `Attachment name '${name}' starts with prohibited character '_'`);
  }
  if (!name.isWellFormed()) throw failure('bad_request', 'Attachment name is not UTF-8 encoded');
  if (utf8Length(name) > bytesMax) throw failure('bad_request', 'Attachment name is too long');
}

/** @throws TercetError `doc_validation` */
export function checkContentType(name: string, contentType: string): void {
  if (!isContentType(contentType)) {
    throw invalid(name, 'has a content_type that is too long, or not one line of Latin-1 text');
  }
}

export function isContentType(text: string): boolean {
  return text.length <= contentTypeLengthMax && contentTypePattern.test(text);
}

function parseAttachment(name: string, attachment: Readonly<Record<string, unknown>>): AttachmentInput {
  const revpos = wholeNumber(name, attachment, 'revpos');
  const digest = text(name, attachment, 'digest');
  const origin = revpos === undefined ? {} : { revpos };
  if (attachment.stub === true)
    return { kind: 'stub', name, ...origin, ...(digest === undefined ? {} : { digest }) };
  const contentType = text(name, attachment, 'content_type') ?? contentTypeDefault;
  checkContentType(name, contentType);
  const encoding = contentEncoding(name, attachment);
  const content = { name, contentType, ...origin, ...(encoding === undefined ? {} : { encoding }) };
  if (attachment.follows === true) {
    const length = wholeNumber(name, attachment, 'length');
    const encodedLength = wholeNumber(name, attachment, 'encoded_length');
    return {
      kind: 'follows',
      ...content,
      ...(digest === undefined ? {} : { digest }),
      ...(length === undefined ? {} : { length }),
      ...(encodedLength === undefined ? {} : { encodedLength }),
    };
  }
  return { kind: 'inline', ...content, data: base64(name, attachment.data) };
}

function base64(name: string, data: unknown): string {
  if (typeof data === 'string') {
    if (data.length % 4 === 0 && base64Pattern.test(data)) return data;
    // Some encoders break lines.
    const joined = data.replace(/\s+/g, '');
    if (joined.length % 4 === 0 && base64Pattern.test(joined)) return joined;
  }
  throw failure('bad_request', `Invalid attachment data for ${name}`);
}

function contentEncoding(name: string, attachment: Readonly<Record<string, unknown>>): 'gzip' | undefined {
  const encoding = text(name, attachment, 'encoding');
  if (encoding === undefined || encoding === 'identity') return undefined;
  if (encoding !== 'gzip') throw invalid(name, 'has an unknown encoding');
  return encoding;
}

function text(
  name: string,
  attachment: Readonly<Record<string, unknown>>,
  member: string,
): string | undefined {
  const value = attachment[member];
  if (value === undefined || typeof value === 'string') return value;
  throw invalid(name, `has a ${member} that is not a string`);
}

function wholeNumber(
  name: string,
  attachment: Readonly<Record<string, unknown>>,
  member: string,
): number | undefined {
  const value = attachment[member];
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw invalid(name, `has a ${member} that is not a whole number`);
}

function invalid(name: string, fault: string): TercetError {
  return failure('doc_validation', `Attachment ${JSON.stringify(name)} ${fault}`);
}

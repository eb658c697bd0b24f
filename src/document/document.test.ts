import { describe, expect, it } from 'vitest';
import { TercetError } from '../errors.ts';
import {
  type AttachmentStub,
  checkDocumentId,
  type DocumentLimits,
  type ParsedDocument,
  parseDocument,
  type RenderableDocument,
  type RenderOptions,
  renderDocument,
} from './document.ts';
import type { Revision } from './revision.ts';

const limits: DocumentLimits = { depthMax: 8, documentIdBytesMax: 64, attachmentNameBytesMax: 32 };

function parse(text: string): ParsedDocument {
  return parseDocument(JSON.parse(text), limits);
}

function bodyOf(text: string): string {
  return new TextDecoder().decode(parse(text).body);
}

/** The error as a client sees it. */
function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof TercetError) return `${error.status} ${error.error}: ${error.reason}`;
    throw error;
  }
  return 'no error';
}

describe('a document from a client', () => {
  it('is taken apart into underscore members and a canonical body', () => {
    const parsed = parse('{"b":1,"_id":"x","_rev":"2-b","_deleted":true,"a":{"d":1,"c":"é"}}');
    expect(parsed).toMatchObject({
      id: 'x',
      revision: '2-b',
      deleted: true,
      path: undefined,
      attachments: [],
    });
    expect(bodyOf('{"b":1,"_id":"x","a":{"d":1,"c":"é"}}')).toBe('{"a":{"c":"é","d":1},"b":1}');
    expect(bodyOf('{"b":1,"a":2}')).toBe('{"a":2,"b":1}');
    expect(bodyOf('{}')).toBe('{}');
    expect(bodyOf('{"_id":"x"}')).toBe('{}');
  });

  it('may lack everything', () => {
    const nothing = { id: undefined, revision: undefined, deleted: false, path: undefined, attachments: [] };
    expect(parse('{"a":1}')).toMatchObject(nothing);
    expect(parse('{"_deleted":false}')).toMatchObject(nothing);
  });

  it('may repeat what an answer carried, and what a replicator writes into its documents', () => {
    expect(bodyOf('{"_revs_info":1,"_conflicts":[],"_deleted_conflicts":0,"_local_seq":5,"a":1}')).toBe(
      '{"a":1}',
    );
    expect(bodyOf('{"_id":"x","_replication_state":"completed","a":1}')).toBe(
      '{"_replication_state":"completed","a":1}',
    );
  });

  it('keeps a member called __proto__ as any other', () => {
    const hostile = '{"_id":"x","__proto__":{"admin":true},"constructor":1}';
    expect(refusal(() => parse(hostile))).toBe('400 doc_validation: Bad special document member: __proto__');
    expect(bodyOf('{"a":{"__proto__":{"admin":true}},"constructor":1}')).toBe(
      '{"a":{"__proto__":{"admin":true}},"constructor":1}',
    );
    expect(({} as Record<string, unknown>).admin).toBeUndefined();
  });

  it('names its revision by _rev or by _revisions', () => {
    const parsed = parse('{"_revisions":{"start":3,"ids":["c","b"]}}');
    expect(parsed).toMatchObject({ revision: '3-c', path: { start: 3, ids: ['c', 'b'] } });
    expect(parse('{"_rev":"3-c","_revisions":{"start":3,"ids":["c","b"]}}').revision).toBe('3-c');
    expect(parse('{"_rev":"3-c","_revisions":{"start":0,"ids":[]}}')).toMatchObject({
      revision: '3-c',
      path: undefined,
    });
  });

  it.each([
    ['null', '400 bad_request: Document must be a JSON object'],
    ['[]', '400 bad_request: Document must be a JSON object'],
    ['"x"', '400 bad_request: Document must be a JSON object'],
    ['{"_x":1}', '400 doc_validation: Bad special document member: _x'],
    ['{"_":1}', '400 doc_validation: Bad special document member: _'],
    ['{"_deleted":1}', '400 doc_validation: Bad special document member: _deleted'],
    ['{"_id":1}', '400 illegal_docid: Document id must be a string'],
    ['{"_rev":1}', '400 bad_request: Invalid rev format'],
    ['{"_rev":""}', '400 bad_request: Invalid rev format'],
    ['{"_rev":"1-"}', '400 bad_request: Invalid rev format'],
    ['{"_revisions":1}', "400 doc_validation: _revisions.start isn't an integer."],
    ['{"_revisions":{"start":1.5,"ids":["a"]}}', "400 doc_validation: _revisions.start isn't an integer."],
    ['{"_revisions":{"start":1}}', "400 doc_validation: _revisions.ids isn't a array."],
    ['{"_revisions":{"start":1,"ids":[1]}}', "400 doc_validation: RevId isn't a string"],
    ['{"_revisions":{"start":1,"ids":["a b"]}}', '400 bad_request: Invalid rev format'],
    [
      '{"_revisions":{"start":1,"ids":["a","b"]}}',
      '400 doc_validation: _revisions.start must be the generation of the first of _revisions.ids.',
    ],
    [
      '{"_revisions":{"start":1,"ids":[]}}',
      '400 doc_validation: _revisions.start must be the generation of the first of _revisions.ids.',
    ],
    [
      '{"_rev":"1-a","_revisions":{"start":1,"ids":["b"]}}',
      '400 doc_validation: _rev and _revisions name different revisions.',
    ],
    ['{"a":[[[[[[[[1]]]]]]]]}', '400 bad_request: The JSON is nested too deeply.'],
    ['{"_id":"x","a":[[[[[[[[1]]]]]]]]}', '400 bad_request: The JSON is nested too deeply.'],
  ])('%s is refused with %s', (text, error) => {
    expect(refusal(() => parse(text))).toBe(error);
  });
});

describe('attachments from a client', () => {
  const attachmentsOf = (attachment: object | string): unknown =>
    parse(`{"_attachments":{"n":${JSON.stringify(attachment)}}}`).attachments;

  it('are stubs, inline or following', () => {
    expect(attachmentsOf({ stub: true, digest: 'md5-1', revpos: 2, content_type: 'x/y', length: 3 })).toEqual(
      [{ kind: 'stub', name: 'n', digest: 'md5-1', revpos: 2 }],
    );
    expect(attachmentsOf({ content_type: 'x/y', data: 'YQ==' })).toEqual([
      { kind: 'inline', name: 'n', contentType: 'x/y', data: 'YQ==' },
    ]);
    const following = {
      follows: true,
      length: 3,
      encoded_length: 2,
      encoding: 'gzip',
      digest: 'md5-1',
      revpos: 1,
    };
    expect(attachmentsOf(following)).toEqual([
      {
        kind: 'follows',
        name: 'n',
        contentType: 'application/octet-stream',
        length: 3,
        encodedLength: 2,
        encoding: 'gzip',
        digest: 'md5-1',
        revpos: 1,
      },
    ]);
  });

  it('may have broken lines of base64', () => {
    expect(attachmentsOf({ data: 'YWJj\r\nYQ==' })).toMatchObject([{ data: 'YWJjYQ==' }]);
  });

  it.each([
    ['1', '400 doc_validation: _attachments must be an object'],
    ['{"":{"data":""}}', '400 bad_request: Attachment name must not be empty'],
    ['{"_x":{"data":""}}', "400 bad_request: Attachment name '_x' starts with prohibited character '_'"],
    ['{"\\ud800":{"data":""}}', '400 bad_request: Attachment name is not UTF-8 encoded'],
    [`{"${'é'.repeat(17)}":{"data":""}}`, '400 bad_request: Attachment name is too long'],
    ['{"n":1}', '400 doc_validation: Attachment "n" must be an object'],
    ['{"n":{}}', '400 bad_request: Invalid attachment data for n'],
    ['{"n":{"data":1}}', '400 bad_request: Invalid attachment data for n'],
    ['{"n":{"data":"YQ"}}', '400 bad_request: Invalid attachment data for n'],
    ['{"n":{"data":"Y==="}}', '400 bad_request: Invalid attachment data for n'],
    ['{"n":{"data":"Y-_="}}', '400 bad_request: Invalid attachment data for n'],
    [
      '{"n":{"data":"","revpos":-1}}',
      '400 doc_validation: Attachment "n" has a revpos that is not a whole number',
    ],
    ['{"n":{"data":"","digest":1}}', '400 doc_validation: Attachment "n" has a digest that is not a string'],
    ['{"n":{"data":"","encoding":"br"}}', '400 doc_validation: Attachment "n" has an unknown encoding'],
    [
      '{"n":{"data":"","content_type":"a\\r\\nb"}}',
      '400 doc_validation: Attachment "n" has a content_type that is too long, or not one line of Latin-1 text',
    ],
  ])('%s is refused with %s', (attachments, error) => {
    expect(refusal(() => parse(`{"_attachments":${attachments}}`))).toBe(error);
  });
});

describe('a document id', () => {
  it.each([
    'a',
    'A b/c?d#e',
    '_design/x',
    '_local/x',
    'é'.repeat(32),
    '\u{1f600}',
    '..',
    '__proto__'.slice(2),
  ])('may be %s', (id) => {
    expect(checkDocumentId(id, 64)).toBe(id);
  });

  it.each([
    [1, 'Document id must be a string'],
    [null, 'Document id must be a string'],
    ['', 'Document id must not be empty'],
    ['_x', 'Only reserved document ids may start with underscore.'],
    ['_design', 'Only reserved document ids may start with underscore.'],
    ['_design/', 'Only reserved document ids may start with underscore.'],
    ['_local/', 'Only reserved document ids may start with underscore.'],
    ['__proto__', 'Only reserved document ids may start with underscore.'],
    ['\ud800', 'Document id must be well-formed Unicode'],
    ['a'.repeat(65), 'Document id is too long'],
    ['é'.repeat(33), 'Document id is too long'],
  ])('may not be %j', (id, reason) => {
    expect(refusal(() => checkDocumentId(id, 64))).toBe(`400 illegal_docid: ${reason}`);
  });
});

describe('a document to a client', () => {
  const revisions = (...texts: string[]): Revision[] => texts as string[] as Revision[];
  const stub: AttachmentStub = {
    name: 'n é',
    contentType: 'text/plain',
    length: 3,
    digest: 'md5-1',
    revpos: 2,
    blob: 'ff',
  };

  function render(
    changes: Partial<RenderableDocument> = {},
    body = '{"a":1}',
    options?: RenderOptions,
  ): string {
    const bytes = new TextEncoder().encode(body);
    const document = { id: 'x', revision: '2-b', deleted: false, body: bytes, attachments: [], ...changes };
    return new TextDecoder('utf-8', { fatal: true }).decode(renderDocument(document, options));
  }

  it('has its underscore members in front of its body', () => {
    expect(render()).toBe('{"_id":"x","_rev":"2-b","a":1}');
    expect(render({}, '{}')).toBe('{"_id":"x","_rev":"2-b"}');
    expect(render({ deleted: true })).toBe('{"_id":"x","_rev":"2-b","_deleted":true,"a":1}');
  });

  it('may have any id and any body', () => {
    for (const id of ['é', '"\\', 'a\nb', '\u{1f600}'.repeat(50)]) {
      expect(JSON.parse(render({ id }, '{"é":"\u{1f600}"}'))).toEqual({
        _id: id,
        _rev: '2-b',
        é: '\u{1f600}',
      });
    }
  });

  it('carries what was asked for', () => {
    const rendered = render({
      path: { start: 2, ids: ['b', 'a'] },
      revisionsInfo: [{ revision: revisions('2-b')[0]!, status: 'available' }],
      conflicts: revisions('2-a'),
      deletedConflicts: revisions('1-c'),
      localSequence: 7,
    });
    expect(JSON.parse(rendered)).toEqual({
      _id: 'x',
      _rev: '2-b',
      _revisions: { start: 2, ids: ['b', 'a'] },
      _revs_info: [{ rev: '2-b', status: 'available' }],
      _conflicts: ['2-a'],
      _deleted_conflicts: ['1-c'],
      _local_seq: 7,
      a: 1,
    });
  });

  it('shows attachments as stubs, inline or following, never their blob', () => {
    const shown = { content_type: 'text/plain', revpos: 2, digest: 'md5-1' };
    const attachmentOf = (options?: RenderOptions): unknown =>
      JSON.parse(render({ attachments: [stub] }, '{}', options))._attachments['n é'];
    expect(attachmentOf()).toEqual({ ...shown, length: 3, stub: true });
    expect(attachmentOf({ attachmentData: new Map([['n é', 'YWJj']]) })).toEqual({ ...shown, data: 'YWJj' });
    expect(attachmentOf({ following: new Set(['n é']) })).toEqual({ ...shown, length: 3, follows: true });
  });

  it('comes back as it went when a client sends it again', () => {
    const text = render(
      { id: 'x', path: { start: 2, ids: ['b', 'a'] }, attachments: [stub] },
      '{"a":[1,{"b":"é"}]}',
    );
    const parsed = parse(text);
    expect(parsed).toMatchObject({ id: 'x', revision: '2-b', path: { start: 2, ids: ['b', 'a'] } });
    expect(new TextDecoder().decode(parsed.body)).toBe('{"a":[1,{"b":"é"}]}');
    expect(parsed.attachments).toEqual([{ kind: 'stub', name: 'n é', digest: 'md5-1', revpos: 2 }]);
  });
});

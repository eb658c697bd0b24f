import { expect, it } from 'vitest';
import { type Command, encodeCommand } from './commands.ts';
import { isRecoverable } from './recovery.ts';

const commands: readonly Command[] = [
  { kind: 'write', database: 1, revisions: [] },
  { kind: 'chunk', database: 1, chunkSet: 'c', index: 0, bytes: Uint8Array.of(1) },
  { kind: 'blob', database: 1, blob: 'b', digest: 'md5-', length: 1, chunkSet: 'c' },
  { kind: 'local', database: 1, id: 'l', revision: '0-1', body: Uint8Array.of(1) },
  { kind: 'purge', database: 1, request: [] },
  { kind: 'settings', database: 1, change: {} },
  { kind: 'drop', database: 1 },
];

it('documents and attachments are brought back; local documents, purges and settings are not', () => {
  const brought = commands.filter((command) => isRecoverable(encodeCommand(command)));
  expect(brought.map(({ kind }) => kind)).toEqual(['write', 'chunk', 'blob']);
});

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LevelStore, openLevelStore } from '../../src/store/level-store.ts';
import { createMemoryStore, type MemoryStore } from '../../src/store/memory-store.ts';
import type { Store } from '../../src/store/store.ts';
import { describeStore } from './store-conformance.ts';

describeStore('the memory store', async () => ({
  open: async () => createMemoryStore(),
  reopen: async (store: Store) => (store as MemoryStore).crash(),
  syncCount: (store: Store) => (store as MemoryStore).syncCount(),
  remove: async () => {},
}));

describeStore('the LevelDB store', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tercet-store-'));
  const open = () => openLevelStore(directory, { createdBy: '0.0.0' });
  return {
    open,
    reopen: async (store: Store) => {
      await store.close();
      return open();
    },
    syncCount: (store: Store) => (store as LevelStore).syncCount(),
    remove: () => rm(directory, { recursive: true }),
  };
});

import { describe, expect, it } from 'vitest';
import { absent } from '../history.ts';
import { FencingChecker } from './fencing.ts';
import { write } from './test-records.ts';

describe('fencing', () => {
  it('accepts a leader a term, and terms that grow', () => {
    const checker = new FencingChecker();
    checker.see({ at: 0, node: 'n1', term: 1, isLeader: true, lineage: 0 });
    checker.see({ at: 1, node: 'n2', term: 2, isLeader: true, lineage: 0 });
    checker.see({ at: 2, node: 'n1', term: 2, isLeader: false, lineage: 0 });
    checker.seeApplied({ at: 0, node: 'n1', index: 1, lineage: 0, content: 'write 7' });
    checker.seeApplied({ at: 0, node: 'n2', index: 1, lineage: 0, content: 'write 7' });
    expect(checker.finish([write(absent, 1, { from: 0 })])).toEqual([]);
  });

  it('flags two nodes that lead in one term', () => {
    const checker = new FencingChecker();
    checker.see({ at: 0, node: 'n1', term: 4, isLeader: true, lineage: 0 });
    checker.see({ at: 1, node: 'n2', term: 4, isLeader: true, lineage: 0 });
    const message = 'n2 leads in term 4, whose leader is n1';
    expect(checker.finish([])).toEqual([{ checker: 'fencing', message, at: 1 }]);
  });

  it('flags an acknowledgement by a node that does not lead the term', () => {
    const checker = new FencingChecker();
    checker.see({ at: 0, node: 'n2', term: 1, isLeader: true, lineage: 0 });
    expect(checker.finish([write(absent, 1, { from: 0 })])).toHaveLength(1);
  });

  it('flags a term that goes down after something was promised in it', () => {
    const checker = new FencingChecker();
    checker.seePromise('n1', { term: 5, lineage: 0 });
    checker.see({ at: 1, node: 'n1', term: 4, isLeader: false, lineage: 0 });
    expect(checker.finish([])[0]?.message).toMatch(/n1 went back from term 5 to 4/);
  });

  it('accepts a term that goes down before anything was promised in it', () => {
    const checker = new FencingChecker();
    checker.seePromise('n1', { term: 4, lineage: 0 });
    checker.see({ at: 0, node: 'n1', term: 5, isLeader: false, lineage: 0 });
    checker.see({ at: 1, node: 'n1', term: 4, isLeader: false, lineage: 0 });
    expect(checker.finish([])).toEqual([]);
  });

  it('flags two nodes that apply different entries at one index', () => {
    const checker = new FencingChecker();
    checker.seeApplied({ at: 0, node: 'n1', index: 3, lineage: 0, content: 'write 7' });
    checker.seeApplied({ at: 0, node: 'n2', index: 3, lineage: 0, content: 'write 8' });
    expect(checker.finish([])).toHaveLength(1);
  });

  it('accepts different entries at one index where a forced membership went on without one of them', () => {
    const checker = new FencingChecker();
    checker.seeApplied({ at: 0, node: 'n1', index: 3, lineage: 0, content: 'write 7' });
    checker.seeApplied({ at: 0, node: 'n2', index: 3, lineage: 9, content: 'write 8' });
    checker.seeEnd(['n1', 'n2'].map((node) => ({ at: 1, node, lineage: 9 })));
    expect(checker.finish([])).toEqual([]);
  });

  it('flags a side that goes back behind a forced membership, or never hears of it', () => {
    const checker = new FencingChecker();
    checker.seePromise('n1', { term: 9, lineage: 9 });
    checker.see({ at: 1, node: 'n1', term: 9, isLeader: true, lineage: 0 });
    checker.seeEnd([
      { at: 2, node: 'n1', lineage: 9 },
      { at: 2, node: 'n2', lineage: 0 },
    ]);
    expect(checker.finish([]).map(({ message }) => message)).toEqual([
      'n1 went back from lineage 9 to 0',
      'n2 was never fenced: it is in lineage 0, others in 9',
    ]);
  });
});

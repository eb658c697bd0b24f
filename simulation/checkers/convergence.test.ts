import { describe, expect, it } from 'vitest';
import { checkConvergence } from './convergence.ts';

const state = (node: string, index: number, documents: string | undefined) => ({ node, index, documents });

describe('convergence', () => {
  it('accepts nodes that hold the same', () => {
    expect(checkConvergence([])).toEqual([]);
    expect(checkConvergence([state('n1', 5, 'a=1'), state('n2', 5, 'a=1')])).toEqual([]);
  });

  it('asks of a witness only that it has come as far', () => {
    const witness = state('n1', 5, undefined);
    expect(checkConvergence([witness, state('n2', 5, 'a=1')])).toEqual([]);
    expect(checkConvergence([witness, state('n2', 6, 'a=1')])).toHaveLength(1);
  });

  it('flags a node that has not applied everything', () => {
    expect(checkConvergence([state('n1', 5, 'a=1'), state('n2', 4, 'a=1')])).toHaveLength(1);
  });

  it('flags a node whose documents differ', () => {
    const [violation] = checkConvergence([
      state('n1', 5, 'a=1'),
      state('n2', 5, 'a=1'),
      state('n3', 5, 'a=2'),
    ]);
    expect(violation?.message).toBe('n1 holds a=1, n3 holds a=2');
  });
});

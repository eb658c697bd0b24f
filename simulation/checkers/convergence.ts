/**
 * When everything works again and no more is written, do all nodes hold the same?
 *
 * Compared are the place up to which a node has applied, and what its documents are. A node that has applied less is only
 * late; one that has applied as much and holds something else is wrong.
 */

import type { Violation } from '../history.ts';

export interface FinalState {
  readonly node: string;
  readonly index: number;
  /** The documents with their values, rendered so that equal states give equal texts; undefined: a witness, which keeps none. */
  readonly documents: string | undefined;
}

export function checkConvergence(states: readonly FinalState[]): Violation[] {
  const first = states.find(({ documents }) => documents !== undefined);
  const others = states.filter((state) => state !== first);
  if (first === undefined) return [];
  return others.flatMap((state) => {
    if (state.index !== first.index) {
      const message = `${first.node} has applied up to ${first.index}, ${state.node} up to ${state.index}`;
      return [{ checker: 'catching-up', message }];
    }
    if (state.documents === undefined || state.documents === first.documents) return [];
    const message = `${first.node} holds ${first.documents}, ${state.node} holds ${state.documents}`;
    return [{ checker: 'convergence', message }];
  });
}

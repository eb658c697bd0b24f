import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addWriteReply,
  closeWrite,
  owedHints,
  startWrite,
  type WritePlan,
  type WriteReply,
  type WriteState,
  writeIsLate,
  writeIsVoid,
  writeOutcome,
} from './write-coordinator.ts';

const plan: WritePlan = {
  owners: ['n1', 'n2', 'n3'],
  standIns: ['n4', 'n5'],
  w: 2,
  pw: 0,
  quorum: 'strict',
  suspected: [],
};

function toldOf(changes: Partial<WritePlan>, ...replies: readonly (readonly [string, WriteReply['kind']])[]) {
  return replies.reduce(
    (state, [from, kind]) => addWriteReply(state, { from, kind }).state,
    startWrite({ ...plan, ...changes }).state,
  );
}

describe('a write with a strict quorum', () => {
  it('is sent to all owners at once', () => {
    const { sends } = startWrite(plan);
    expect(sends).toEqual(['n1', 'n2', 'n3'].map((to) => ({ to, standsInFor: undefined })));
  });

  it('is met when W owners have it durable, and says who', () => {
    expect(writeOutcome(toldOf({}, ['n1', 'durable']))).toEqual({ kind: 'open' });
    const outcome = writeOutcome(toldOf({}, ['n3', 'durable'], ['n1', 'durable']));
    expect(outcome).toEqual({
      kind: 'met',
      receipt: { owners: ['n1', 'n3'], standIns: [], reached: 2 },
    });
  });

  it('counts an owner once, however often it answers', () => {
    expect(writeOutcome(toldOf({}, ['n1', 'durable'], ['n1', 'durable'])).kind).toBe('open');
  });

  it('takes nobody into account who was not asked', () => {
    expect(writeOutcome(toldOf({}, ['n1', 'durable'], ['n4', 'durable'])).kind).toBe('open');
  });

  it('never asks a stand-in', () => {
    const late = writeIsLate(startWrite({ ...plan, suspected: ['n3'] }).state, 'n2');
    expect(late.sends).toEqual([]);
    expect(addWriteReply(late.state, { from: 'n1', kind: 'refused' }).sends).toEqual([]);
  });

  it('is partial as soon as too few are left, but not before it is stored somewhere', () => {
    const tooFew = toldOf({}, ['n2', 'refused'], ['n3', 'unknown']);
    expect(writeOutcome(tooFew).kind).toBe('open');
    expect(writeOutcome(addWriteReply(tooFew, { from: 'n1', kind: 'durable' }).state).kind).toBe('partial');
  });

  it('failed only when everyone said that the write is not there', () => {
    const refused = toldOf({}, ['n1', 'refused'], ['n2', 'refused'], ['n3', 'refused']);
    expect(writeOutcome(refused).kind).toBe('failed');
    expect(owedHints(refused)).toEqual([]);
    const unsure = toldOf({}, ['n1', 'refused'], ['n2', 'unknown'], ['n3', 'refused']);
    expect(writeOutcome(unsure).kind).toBe('unknown');
  });

  it('is partial or unknown when time is up, by whether anybody has it', () => {
    expect(writeOutcome(closeWrite(toldOf({}, ['n1', 'durable']))).kind).toBe('partial');
    expect(writeOutcome(closeWrite(toldOf({}))).kind).toBe('unknown');
  });
});

describe('an owner that is taken out of the cluster while a write is on its way', () => {
  const counted = toldOf({}, ['n2', 'durable']);

  it('does not count any more, whatever it confirmed before', () => {
    const state = addWriteReply(writeIsVoid(counted, 'n2'), { from: 'n1', kind: 'durable' }).state;
    expect(writeOutcome(state)).toEqual({ kind: 'open' });
    const met = addWriteReply(state, { from: 'n3', kind: 'durable' }).state;
    expect(writeOutcome(met)).toMatchObject({ kind: 'met', receipt: { owners: ['n1', 'n3'] } });
  });

  it('may have the write all the same, and is owed it like any other', () => {
    const state = writeIsVoid(toldOf({}, ['n2', 'durable'], ['n1', 'refused'], ['n3', 'refused']), 'n2');
    expect(writeOutcome(state)).toMatchObject({ kind: 'unknown' });
    const stored = writeIsVoid(toldOf({}, ['n2', 'durable'], ['n1', 'durable']), 'n2');
    expect(owedHints(stored)).toEqual(['n2']);
  });
});

describe('hints', () => {
  it('are owed to owners that are late, suspected or gone, and not to those that may still answer in time', () => {
    const state = toldOf({ suspected: ['n2'] }, ['n1', 'durable']);
    expect(owedHints(state)).toEqual(['n2']);
    expect(owedHints(writeIsLate(state, 'n3').state)).toEqual(['n2', 'n3']);
    expect(owedHints(closeWrite(toldOf({}, ['n1', 'durable'])))).toEqual(['n2', 'n3']);
  });

  it('are settled by an owner that answers after all', () => {
    const closed = closeWrite(toldOf({}, ['n1', 'durable'], ['n2', 'durable']));
    expect(owedHints(addWriteReply(closed, { from: 'n3', kind: 'durable' }).state)).toEqual([]);
  });
});

describe('a write with a sloppy quorum', () => {
  const sloppy = { quorum: 'sloppy' } as const;

  it('asks the next stand-in for an owner that is late, and for a stand-in that fails too', () => {
    const late = writeIsLate(toldOf(sloppy), 'n2');
    expect(late.sends).toEqual([{ to: 'n4', standsInFor: 'n2' }]);
    const refused = addWriteReply(late.state, { from: 'n4', kind: 'refused' });
    expect(refused.sends).toEqual([{ to: 'n5', standsInFor: 'n2' }]);
  });

  it('asks for a suspected owner at once, but asks the owner too', () => {
    const { sends } = startWrite({ ...plan, ...sloppy, suspected: ['n3'] });
    expect(sends.map(({ to }) => to)).toEqual(['n1', 'n2', 'n3', 'n4']);
  });

  it('counts a stand-in towards W and not towards PW', () => {
    const held = (pw: number) => {
      const late = writeIsLate(toldOf({ ...sloppy, pw }, ['n1', 'durable']), 'n2').state;
      return addWriteReply(late, { from: 'n4', kind: 'durable' }).state;
    };
    expect(writeOutcome(held(0))).toMatchObject({
      kind: 'met',
      receipt: { owners: ['n1'], standIns: ['n4'] },
    });
    expect(writeOutcome(held(2))).not.toMatchObject({ kind: 'met' });
    expect(owedHints(closeWrite(held(2)))).toEqual(['n3']);
  });

  it('counts an owner and its stand-in once', () => {
    const late = writeIsLate(toldOf({ ...sloppy, w: 3 }, ['n1', 'durable']), 'n2').state;
    const both = addWriteReply(addWriteReply(late, { from: 'n4', kind: 'durable' }).state, {
      from: 'n2',
      kind: 'durable',
    }).state;
    expect(writeOutcome(both).kind).toBe('open');
  });
});

describe('any write', () => {
  const nodes = ['n1', 'n2', 'n3', 'n4', 'n5'];
  const kinds = ['durable', 'refused', 'unknown', 'late', 'close'] as const;
  const happenings = fc.array(
    fc.record({ from: fc.constantFrom(...nodes), kind: fc.constantFrom(...kinds) }),
  );
  const plans = fc.record({
    owners: fc.constant(plan.owners),
    standIns: fc.constant(plan.standIns),
    w: fc.integer({ min: 1, max: 3 }),
    pw: fc.integer({ min: 0, max: 3 }),
    quorum: fc.constantFrom('strict' as const, 'sloppy' as const),
    suspected: fc.subarray(['n1', 'n2', 'n3']),
  });
  type Happening = { readonly from: string; readonly kind: (typeof kinds)[number] };

  function told(state: WriteState, { from, kind }: Happening): WriteState {
    if (kind === 'close') return closeWrite(state);
    if (kind === 'late') return writeIsLate(state, from).state;
    return addWriteReply(state, { from, kind }).state;
  }

  it('is met exactly when enough of the right nodes are durable, and stays so', () => {
    fc.assert(
      fc.property(plans, happenings, (chosen, list) => {
        let state = startWrite(chosen).state;
        const durable = new Set<string>();
        let wasMet = false;
        for (const happening of list) {
          if (happening.kind === 'durable' && state.asked.some(({ node }) => node === happening.from))
            durable.add(happening.from);
          state = told(state, happening);
          const outcome = writeOutcome(state);
          const owners = chosen.owners.filter((node) => durable.has(node)).length;
          const met = outcome.kind === 'met';
          if (chosen.quorum === 'strict') expect(met).toBe(owners >= chosen.w && owners >= chosen.pw);
          if (met) expect(durable.size).toBeGreaterThanOrEqual(chosen.w);
          if (met) expect(owners).toBeGreaterThanOrEqual(chosen.pw);
          if (outcome.kind === 'failed') expect(durable.size).toBe(0);
          if (wasMet) expect(met).toBe(true);
          wasMet = met;
        }
      }),
    );
  });

  it('leaves every owner, once it is over, with the write or with a hint, if anybody has it', () => {
    fc.assert(
      fc.property(plans, happenings, (chosen, list) => {
        const state = closeWrite(list.reduce(told, startWrite(chosen).state));
        const durables = state.asked.filter(({ status }) => status === 'durable');
        const has = (owner: string) => durables.some(({ node }) => node === owner);
        const stoodFor = (owner: string) => durables.some((ask) => ask.owner === owner && ask.node !== owner);
        const cared = chosen.owners.filter(
          (owner) => has(owner) || stoodFor(owner) || owedHints(state).includes(owner),
        );
        const isStored = durables.length > 0;
        expect(cared).toEqual(isStored ? chosen.owners : []);
      }),
    );
  });
});

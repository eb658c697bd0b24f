import { describe, expect, it } from 'vitest';
import type { CoreEffect, CoreEvent, NodeId } from '../replication/strategy.ts';
import { Driver, type Settled } from './driver.ts';

type Ask = { readonly kind: 'ask'; readonly what: string };
type Told = { readonly kind: 'told'; readonly what: string };
type Event = CoreEvent<string, Ask>;
type Effect = CoreEffect<string, string, string, Told>;

const n2 = 'n2' as NodeId;

/** A world around a driver whose core answers by a table, and whose ports settle when the test says so. */
function driverOf(answers: (event: Event) => readonly Effect[]) {
  const seen: string[] = [];
  const persisting: Settled[] = [];
  const applying: Settled[] = [];
  let nowMs = 0;
  const timers: (() => void)[] = [];
  const driver: Driver<string, Ask, string, string, Told> = new Driver({
    tickMs: 10,
    core: {
      checkInvariants: () => {},
      step: (event) => {
        seen.push(`step ${render(event)}`);
        return answers(event);
      },
    },
    ports: {
      clock: {
        now: () => nowMs,
        monotonic: () => nowMs,
        after: (_delayMs, callback) => {
          timers.push(callback);
          return () => timers.splice(timers.indexOf(callback), 1);
        },
      },
      random: { next: () => 0.5, hex: () => '' },
      send: (to, message) => seen.push(`send ${to} ${message}`),
      persist: (writes, settled) => {
        seen.push(`persist ${writes}`);
        persisting.push(settled);
      },
      apply: (entries, settled) => {
        seen.push(`apply ${entries}`);
        applying.push(settled);
      },
      notice: ({ what }) => {
        seen.push(`notice ${what}`);
        if (what === 'again') driver.request({ kind: 'ask', what: 'nested' });
      },
      failed: (error) => seen.push(`failed ${error.message}`),
    },
  });
  return {
    driver,
    seen: () => seen.splice(0),
    ask: (what: string, write?: string) => driver.request({ kind: 'ask', what }, write),
    settlePersist: (error?: Error) => persisting.shift()?.(error),
    settleApply: (error?: Error) => applying.shift()?.(error),
    pass: (ms: number) => {
      nowMs += ms;
    },
    ring: () => timers.shift()?.(),
  };
}

function render(event: Event): string {
  switch (event.kind) {
    case 'tick':
      return `tick ${event.now}`;
    case 'received':
      return `received ${event.message}`;
    case 'persisted':
      return `persisted ${event.ticket}`;
    case 'ask':
      return `ask ${event.what}`;
  }
}

/** Each request asks for one write and, if it is named so, for an entry to be applied. */
function writing() {
  let ticket = 0;
  return (event: Event): readonly Effect[] => {
    if (event.kind !== 'ask') return [];
    if (event.what.startsWith('apply')) return [{ kind: 'apply', entries: [event.what] }];
    ticket += 1;
    return [{ kind: 'persist', ticket, write: event.what }];
  };
}

describe('driver', () => {
  it('tells the tick that is due before anything else', () => {
    const { driver, seen, ask, pass, ring } = driverOf(() => []);
    driver.start();
    ask('a');
    pass(35);
    driver.receive(n2, 'm');
    ring();
    pass(10);
    ring();
    expect(seen()).toEqual(['step tick 0', 'step ask a', 'step tick 3', 'step received m', 'step tick 4']);
  });

  it('tells how many ticks it slept through', () => {
    const missed: (number | undefined)[] = [];
    const world = driverOf((event) => {
      if (event.kind === 'tick') missed.push(event.missed);
      return [];
    });
    world.driver.start();
    for (const ms of [10, 10, 50, 10]) {
      world.pass(ms);
      world.ask('now');
    }
    expect(missed).toEqual([0, 0, 0, 4, 0]);
  });

  it('begins the effects of a step in their order, and what a port tells waits for its end', () => {
    const { seen, ask } = driverOf((event) =>
      event.kind === 'ask' && event.what === 'a'
        ? [
            { kind: 'told', what: 'again' },
            { kind: 'send', to: n2, message: 'm' },
          ]
        : [],
    );
    ask('a');
    expect(seen().slice(1)).toEqual(['step ask a', 'notice again', 'send n2 m', 'step ask nested']);
  });

  it('has one batch on its way to the disk and gathers the rest for the next', () => {
    const { seen, ask, settlePersist } = driverOf(writing());
    for (const what of ['a', 'b', 'c']) ask(what);
    settlePersist();
    settlePersist();
    expect(seen().filter((line) => /^persist|persisted/.test(line))).toEqual([
      'persist a',
      'step persisted 1',
      'persist b,c',
      'step persisted 3',
    ]);
  });

  it('applies only what comes after durable writes, one batch at a time', () => {
    const { seen, ask, settlePersist, settleApply } = driverOf(writing());
    for (const what of ['a', 'apply 1', 'b', 'apply 2', 'apply 3']) ask(what);
    const applied = () => seen().filter((line) => line.startsWith('apply'));
    expect(applied()).toEqual([]);
    settlePersist();
    expect(applied()).toEqual(['apply apply 1']);
    settlePersist();
    expect(applied()).toEqual([]);
    settleApply();
    expect(applied()).toEqual(['apply apply 2,apply 3']);
  });

  it("writes the node's own in one batch with the core's answer, and before what is applied later", () => {
    const { seen, ask, settlePersist } = driverOf(writing());
    ask('a', 'own');
    ask('apply 1', 'own alone');
    ask('apply 2');
    const lines = () => seen().filter((line) => /^persist|^apply/.test(line));
    expect(lines()).toEqual(['persist own,a']);
    settlePersist();
    expect(lines()).toEqual(['persist own alone']);
    settlePersist();
    expect(lines()).toEqual(['apply apply 1,apply 2']);
  });

  it.each(['persist', 'apply'])('stops for good when it cannot %s', (port) => {
    const { driver, seen, ask, settlePersist, settleApply } = driverOf(writing());
    ask(port === 'persist' ? 'a' : 'apply 1');
    ask('b');
    seen();
    (port === 'persist' ? settlePersist : settleApply)(new Error('the disk is gone'));
    ask('c');
    driver.receive(n2, 'm');
    settlePersist();
    expect(seen()).toEqual(['failed the disk is gone']);
  });

  it('says nothing more once its core broke an invariant', () => {
    const { driver, seen, ask, ring, pass } = driverOf((event) => {
      if (event.kind === 'ask') throw new Error('invariant broken');
      return [];
    });
    driver.start();
    seen();
    expect(() => ask('a')).toThrow('invariant broken');
    pass(50);
    ring();
    driver.receive(n2, 'm');
    expect(seen()).toEqual(['step ask a']);
  });
});

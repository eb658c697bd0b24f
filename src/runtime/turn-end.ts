/**
 * The end of a turn of the event loop: once all that had arrived was looked at, what was gathered meanwhile is done.
 *
 *     requests read ──► gathered edits are checked ──► proposed to the core ──► frames leave
 *     └─ one turn's events ─┘   └────────────────── the same turn's end ─────────────────┘
 *
 * Work that such work makes belongs to the same end: with a `setImmediate` of its own for every step, each would wait for another
 * turn, a millisecond or two under load. Between two steps promises that were settled are gone on with.
 */

/** What makes work again and again lets the events of the next turn come first. */
const roundsMax = 8;

let waiting: (() => void)[] = [];
/** How often this end has looked for work; 0 outside of one. */
let rounds = 0;
let isDue = false;

/** Never runs `work` before it returns. What `work` throws is thrown where nobody catches it; other work is done all the same. */
export function atTurnEnd(work: () => void): void {
  waiting.push(work);
  if (isDue || rounds > 0) return;
  isDue = true;
  setImmediate(end);
}

function end(): void {
  isDue = false;
  runRound();
}

function runRound(): void {
  const works = waiting;
  waiting = [];
  rounds += 1;
  // Behind all that the work's promises lead to: a microtask is, a tick that it asks for is behind those that they make.
  queueMicrotask(() => process.nextTick(goOn));
  for (const work of works) {
    try {
      work();
    } catch (error) {
      // As what nobody caught, each by itself.
      setImmediate(() => {
        throw error;
      });
    }
  }
}

function goOn(): void {
  if (waiting.length > 0 && rounds < roundsMax) return runRound();
  rounds = 0;
  if (waiting.length === 0) return;
  isDue = true;
  setImmediate(end);
}

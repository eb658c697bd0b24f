/**
 * Clients of a leaderless database. Most read before they write and replace what they saw; some write blindly, on what they
 * remember or on nothing. Each client also has a document that nobody else writes, always read first: there it must
 * never meet a sibling of its own acknowledged writes.
 */

import { deriveRevision, digestOf, generationOf, type Revision } from '../../src/document/revision.ts';
import type { LeaderlessSettings } from '../../src/replication/leaderless-settings.ts';
import { digest128 } from '../../src/runtime/digest.ts';
import type { SeededRandom } from '../random.ts';
import { microsecondsOf, type World } from '../world.ts';
import type { LeaderlessCluster } from './cluster.ts';
import type { LeaderlessRead, LeaderlessRecord, LeaderlessWrite } from './history.ts';
import type { LeaderlessNode } from './leaderless-node.ts';
import type { ReadAnswer, ToldRevision, WriteAnswer } from './messages.ts';

export interface LeaderlessWorkloadOptions {
  readonly world: World;
  readonly cluster: LeaderlessCluster;
  readonly clients: number;
  readonly documents: number;
  readonly thinkMsMax: number;
  /** Part of the writes that delete. */
  readonly deletions: number;
  /** Part of what clients do that is writing on an old copy. */
  readonly oldEdits: number;
}

interface Copy {
  readonly client: string;
  readonly told: ToldRevision;
  readonly at: number;
}

interface Attempt {
  readonly client: string;
  readonly id: string;
  readonly node: LeaderlessNode;
  readonly base: Revision | undefined;
  readonly deleted: boolean;
}

const patienceMs = 1_500;
const soloPrefix = 'solo ';
/** Reads when all is mended, and asks nobody whose place is another's. */
const lastClient = 'last';

export function isSolo(id: string): boolean {
  return id.startsWith(soloPrefix);
}

export class LeaderlessWorkload {
  readonly #options: LeaderlessWorkloadOptions;
  readonly #records: LeaderlessRecord[] = [];
  /** What clients keep of what they read, by client and id. */
  readonly #copies = new Map<string, Copy>();
  #isActive = true;
  #values = 0;

  constructor(options: LeaderlessWorkloadOptions) {
    this.#options = options;
  }

  start(): void {
    const { clients, world } = this.#options;
    for (let index = 1; index <= clients; index += 1) {
      const client = `c${index}`;
      this.#next(client, world.random.fork(`client ${client}`), new Map());
    }
  }

  stop(): void {
    this.#isActive = false;
  }

  records(): readonly LeaderlessRecord[] {
    return this.#records;
  }

  /** Reads every document at all replicas, one after the other: what read repair alone can mend, it mends now. */
  readAll(ids: readonly string[], done: () => void): void {
    const [id, ...rest] = ids;
    if (id === undefined) return done();
    const settings = { ...this.#options.cluster.settings, r: this.#options.cluster.settings.n };
    this.#read(lastClient, id, settings, this.#options.world.random.fork(`last ${id}`), () =>
      this.readAll(rest, done),
    );
  }

  #next(client: string, random: SeededRandom, remembered: Map<string, Revision>): void {
    const { deletions, documents, thinkMsMax, world } = this.#options;
    world.after(microsecondsOf(random.next() * thinkMsMax), () => {
      if (!this.#isActive) return;
      const again = () => this.#next(client, random, remembered);
      const isAlone = random.chance(0.3);
      const id = isAlone ? soloPrefix + client : `shared ${random.between(1, documents)}`;
      const deleted = random.chance(deletions);
      if (this.#options.oldEdits > 0 && random.chance(this.#options.oldEdits)) {
        const copy = this.#oldCopy(client, random);
        if (copy !== undefined) return this.#bring(client, copy, random, again);
      }
      const dice = random.next();
      if (dice < 0.2) return this.#read(client, id, this.#settingsOfRead(random), random, again);
      if (dice < 0.35 && !isAlone) {
        const base = random.chance(0.5) ? remembered.get(id) : undefined;
        return this.#write(
          { client, id, base, deleted: deleted && base !== undefined },
          random,
          remembered,
          again,
        );
      }
      this.#read(client, id, this.#options.cluster.settings, random, (answer) => {
        if (answer.kind !== 'answered') return again();
        const winner = answer.leaves.find((leaf) => !leaf.deleted);
        const base = winner?.revision;
        this.#write({ client, id, base, deleted: deleted && base !== undefined }, random, remembered, again);
      });
    });
  }

  #settingsOfRead(random: SeededRandom): LeaderlessSettings {
    const { settings } = this.#options.cluster;
    return random.chance(0.3) ? { ...settings, r: 1 } : settings;
  }

  #read(
    client: string,
    id: string,
    settings: LeaderlessSettings,
    random: SeededRandom,
    done: (answer: LeaderlessRead['answer']) => void,
  ): void {
    const { cluster, world } = this.#options;
    const invokedAt = world.now();
    const node = random.pick(client === lastClient ? cluster.owners : cluster.coordinators);
    this.#once<ReadAnswer>(
      (answer) => node.read({ id, settings }, answer),
      (answer) => {
        this.#records.push({ kind: 'read', client, id, settings, invokedAt, answer, at: world.now() });
        if (answer.kind === 'answered') this.#copy(client, answer.leaves);
        const leaves = answer.kind === 'answered' ? answer.leaves.map(({ revision }) => revision) : undefined;
        world.note(client, 'read', { id, node: node.id, kind: answer.kind, leaves });
        done(answer);
      },
    );
  }

  #write(
    {
      client,
      id,
      base,
      deleted,
    }: {
      readonly client: string;
      readonly id: string;
      readonly base: Revision | undefined;
      readonly deleted: boolean;
    },
    random: SeededRandom,
    remembered: Map<string, Revision>,
    done: () => void,
  ): void {
    const { cluster } = this.#options;
    const { settings } = cluster;
    const node = random.pick(cluster.coordinators);
    const value = this.#nextValue();
    const noted = (answer: LeaderlessWrite['answer']) => {
      if ('revision' in answer) remembered.set(id, answer.revision);
      done();
    };
    this.#record({ client, id, node, base, deleted }, noted, (answer) =>
      node.write({ id, base, deleted, value, settings }, answer),
    );
  }

  #record(
    { base, client, deleted, id, node }: Attempt,
    done: (answer: LeaderlessWrite['answer']) => void,
    begin: (answer: (answer: WriteAnswer) => void) => boolean,
  ): void {
    const { cluster, world } = this.#options;
    const { settings } = cluster;
    const invokedAt = world.now();
    this.#once<WriteAnswer>(begin, (answer) => {
      const missingOn = this.#missingOn(id, answer);
      world.note(client, 'wrote', { id, node: node.id, base, answer });
      this.#records.push({
        ...{ kind: 'write', client, id, settings, deleted, invokedAt, answer },
        ...{ at: world.now(), missingOn },
      });
      done(answer);
    });
  }

  /** The first copy is kept until it is used. */
  #copy(client: string, leaves: readonly ToldRevision[]): void {
    const live = leaves.find((leaf) => !leaf.deleted);
    if (this.#options.oldEdits === 0 || live === undefined || isSolo(live.id)) return;
    const name = `${client} ${live.id}`;
    if (!this.#copies.has(name))
      this.#copies.set(name, { client, told: live, at: this.#options.world.now() });
  }

  #oldCopy(client: string, random: SeededRandom): ToldRevision | undefined {
    const { cluster, world } = this.#options;
    const before = world.now() - microsecondsOf(cluster.settings.tombstoneHorizonMs);
    const old = [...this.#copies].filter(([, copy]) => copy.client === client && copy.at < before);
    if (old.length === 0) return undefined;
    const [name, { told }] = random.pick(old);
    this.#copies.delete(name);
    return told;
  }

  /** The copy, or an edit of it, as replicators bring it: nobody asks whether it is still the latest. */
  #bring(client: string, copy: ToldRevision, random: SeededRandom, done: () => void): void {
    const { cluster } = this.#options;
    const node = random.pick(cluster.coordinators);
    const told = random.chance(0.5) ? copy : this.#editOf(copy);
    this.#record({ client, id: told.id, node, base: copy.revision, deleted: false }, done, (answer) =>
      node.insert(told, cluster.settings, answer),
    );
  }

  #editOf(copy: ToldRevision): ToldRevision {
    const value = this.#nextValue();
    const body = new TextEncoder().encode(JSON.stringify({ value }));
    const content = { parents: [copy.revision], deleted: false, body, attachmentDigests: [] };
    const revision = deriveRevision(content, digest128);
    const path = { start: generationOf(revision), ids: [digestOf(revision), ...copy.path.ids] };
    return { id: copy.id, revision, deleted: false, value, stamp: undefined, path };
  }

  #nextValue(): number {
    this.#values += 1;
    return this.#values;
  }

  #missingOn(id: string, answer: LeaderlessWrite['answer']): readonly string[] {
    if (answer.kind !== 'met' && answer.kind !== 'partial') return [];
    const { cluster } = this.#options;
    const wiped = new Set(cluster.oracle.losses.map(({ node }) => node));
    // A stand-in may have handed over by now.
    const owners = cluster.owners.filter((node) => answer.durableOn.includes(node.id) && !wiped.has(node.id));
    return owners.filter((node) => !node.hasDurable(id, answer.revision)).map((node) => node.id);
  }

  /** Tells the first answer, or that there was none in time. */
  #once<Answer>(
    begin: (answer: (answer: Answer) => void) => boolean,
    done: (answer: Answer | { readonly kind: 'none' } | { readonly kind: 'down' }) => void,
  ): void {
    let isOver = false;
    const finish = (answer: Answer | { readonly kind: 'none' } | { readonly kind: 'down' }) => {
      if (isOver) return;
      isOver = true;
      cancel();
      done(answer);
    };
    const cancel = this.#options.world.after(microsecondsOf(patienceMs), () => finish({ kind: 'none' }));
    if (!begin(finish)) finish({ kind: 'down' });
  }
}

/**
 * What a group's log means on this node: which databases there are, and everything in the single-leader ones.
 *
 * Of databases with another strategy the log says that they exist, and how they are set up; what is in them does not travel
 * by the log. A database of this node alone gives its name to one of the group, unless both are multi-leader: then it
 * becomes this node's replica of it, as it would by having the same name on two nodes.
 *
 * Entries are applied in their order, in batches. A crash may repeat the last ones, which changes nothing: a known
 * revision is known, a local document is put again as it was, a database that is there is not created again. Changes of
 * one database that stand together become one turn.
 */

import { applyReplicated } from '../database/apply.ts';
import type { Database } from '../database/database.ts';
import { type CreateOptions, type Databases, isSystemDatabase } from '../database/databases.ts';
import { putLocal } from '../database/local-documents.ts';
import { changeSettingsInTurn, purgeInTurn } from '../database/local-writes.ts';
import type { AttachmentEdit, EditOutcome, Replication, ReplicationChoice } from '../database/model.ts';
import { adminsOnly } from '../database/settings.ts';
import type { Turn } from '../database/turn.ts';
import { assert } from '../errors.ts';
import type { LogPosition } from '../single-leader/entry.ts';
import { appliedKey } from '../store/keys.ts';
import type { CommitOptions, Operation, Store } from '../store/store.ts';
import type { Command, DatabaseRef, LoggedRevision } from './commands.ts';
import { decodeCommand } from './commands.ts';
import type { CommittedEntry } from './group.ts';
import { identityOf, incarnationOf, replicationOf, withReplacedOwner } from './replication-choice.ts';
import { type StateMachine, UnappliableError } from './state-machine.ts';

type TurnCommand = Extract<Command, { kind: 'write' | 'local' | 'purge' | 'settings' }>;

/** Commands that one turn takes; a turn ends early when its batch grows big. */
const COMMANDS_PER_TURN = 256;
/**
 * How long what nobody waits for may wait itself, to be written with the next entries of the log: under load one fsync
 * does for both. The log has it already, so a crash costs nothing but applying it again.
 */
const APPLY_PATIENCE_MS = 10;

/** Asked for when the batch is made: somebody may have come to wait for it since. */
class ApplyPatience implements CommitOptions {
  readonly #isAwaited: () => boolean;

  constructor(isAwaited: () => boolean) {
    this.#isAwaited = isAwaited;
  }

  get patienceMs(): number {
    return this.#isAwaited() ? 0 : APPLY_PATIENCE_MS;
  }
}

/** A database as the log, or a state that was fetched, tells of it. */
export interface ToldDatabase {
  readonly name: string;
  readonly reference: DatabaseRef;
  readonly identity: string;
  readonly choice: ReplicationChoice;
}

export interface CatalogContext {
  readonly store: Store;
  readonly databases: Databases;
  readonly diskUuid: string;
  /** Told of a database of this node alone that had to give its name to one of the group. */
  readonly onMovedAside: (name: string, newName: string) => void;
}

export class Catalog implements StateMachine {
  readonly #context: CatalogContext;
  readonly #names = new Map<DatabaseRef, string>();
  #applied: number;
  /** Through which index entries are in a state that was fetched, and must not be applied again. */
  #installed = 0;
  #work: Promise<unknown> = Promise.resolve();

  constructor(context: CatalogContext) {
    this.#context = context;
    const record = context.store.get(appliedKey);
    this.#applied =
      record === undefined ? 0 : (JSON.parse(Buffer.from(record).toString()) as { index: number }).index;
    this.#readNames();
  }

  appliedIndex(): number {
    return this.#applied;
  }

  apply(entries: readonly CommittedEntry[], through: LogPosition, isAwaited: () => boolean): Promise<void> {
    return this.alone(async () => {
      const news = entries.filter(({ index }) => index > this.#installed);
      if (through.index > this.#installed) await this.#apply(news, through, isAwaited);
    });
  }

  /** Runs work while nothing is applied. */
  alone<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#work.then(work);
    this.#work = result.catch(() => undefined);
    return result;
  }

  /** What the group's databases are called here. */
  names(): ReadonlyMap<DatabaseRef, string> {
    return this.#names;
  }

  /** For work that runs {@link alone}: what the store holds was exchanged for a state that was fetched. */
  stateInstalled(index: number): void {
    this.#applied = index;
    this.#installed = index;
    this.#names.clear();
    this.#readNames();
  }

  /** The database here that is this node's replica of the one told of, or becomes it; undefined: it has to be made. */
  replicaOf({ choice, identity, name, reference }: ToldDatabase): string | undefined {
    const { databases } = this.#context;
    const known = this.#names.get(reference);
    if (known !== undefined && identityOf(databases, known) === identity) return known;
    if (choice.strategy !== 'multi-leader' || !databases.has(name)) return undefined;
    return databases.replication(name).reference === undefined ? name : undefined;
  }

  /** What a database is to be like that is made here. */
  createOptions({ choice, identity, reference }: ToldDatabase): CreateOptions {
    const { diskUuid } = this.#context;
    return {
      incarnation: incarnationOf(choice, { identity, diskUuid }),
      replication: replicationOf(choice, { reference, identity }),
    };
  }

  /** Gives the name of a database of this node alone to one of the group. */
  async makeRoom(name: string): Promise<void> {
    const { databases } = this.#context;
    if (databases.has(name) && databases.replication(name).reference === undefined) await this.setAside(name);
  }

  /** What the group does not know, or knows no longer, becomes a database of this node alone. */
  async setAside(name: string): Promise<void> {
    const { databases, onMovedAside } = this.#context;
    const database = databases.get(name);
    const isSystem = isSystemDatabase(name);
    // Under a name of its own it has no rules of its own any more: password hashes are not for its readers.
    if (isSystem) await database.setSecurity(adminsOnly);
    const stem = isSystem ? name.slice(1) : name.slice(0, 200);
    const newName = `${stem}-local-${database.incarnation}`;
    await databases.setAside(name, newName);
    for (const [reference, known] of this.#names) if (known === name) this.#names.delete(reference);
    onMovedAside(name, newName);
  }

  #readNames(): void {
    const { databases } = this.#context;
    for (const name of databases.names()) {
      const { reference } = databases.replication(name);
      if (reference !== undefined) this.#names.set(reference, name);
    }
  }

  async #apply(
    entries: readonly CommittedEntry[],
    through: LogPosition,
    isAwaited: () => boolean,
  ): Promise<void> {
    const waiting = new Map<DatabaseRef, TurnCommand[]>();
    for (const { index, term, data } of entries) {
      const command = decodeCommand(data);
      if (command.kind === 'create') await this.#create(index, command);
      else if (command.kind === 'drop') {
        for (const database of [...waiting.keys()]) await this.#runTurn(database, waiting);
        await this.#drop(command.database, { index, term });
      } else if (isTurnCommand(command)) {
        const commands = waiting.get(command.database) ?? [];
        commands.push(command);
        waiting.set(command.database, commands);
        if (commands.length < COMMANDS_PER_TURN) continue;
        await this.#runTurn(command.database, waiting);
      } else {
        await this.#runTurn(command.database, waiting);
        await this.#applyAlone(command);
      }
    }
    // The last turn also says how far this goes. It is called when the others are durable, so it never says too much.
    const last = [...waiting.keys()].at(-1);
    const others = [...waiting.keys()].filter((database) => database !== last);
    await Promise.all(others.map((database) => this.#runTurn(database, waiting)));
    await this.#runLast(last === undefined ? [] : (waiting.get(last) ?? []), through, isAwaited);
    this.#applied = through.index;
  }

  /** Commands of one database, and how far everything is applied with them, as one batch. */
  async #runLast(
    commands: readonly TurnCommand[],
    through: LogPosition,
    isAwaited: () => boolean,
  ): Promise<void> {
    const [first] = commands;
    const database = first && this.database(first.database);
    const patience = new ApplyPatience(isAwaited);
    if (database === undefined) {
      await this.#context.store.commit([appliedOperation(through)], patience);
      return;
    }
    await database.submit((turn) => {
      for (const command of commands) applyInTurn(turn, command, database);
      turn.add(appliedOperation(through));
    }, patience);
  }

  /** Undefined: dropped meanwhile. */
  database(reference: DatabaseRef): Database | undefined {
    const name = this.#names.get(reference);
    return name === undefined ? undefined : this.#context.databases.get(name);
  }

  async #create(
    reference: number,
    { name, incarnation: identity, replication: choice }: Extract<Command, { kind: 'create' }>,
  ): Promise<void> {
    const { databases } = this.#context;
    const told = { name, reference, identity, choice };
    // Either a repetition after a crash, or two creations of one name on their way at once: the first one counts.
    if (databases.has(name) && databases.replication(name).reference !== undefined) return;
    if (this.replicaOf(told) === undefined) {
      await this.makeRoom(name);
      await databases.create(name, this.createOptions(told));
    } else await this.#adopt(told);
    this.#names.set(reference, name);
  }

  /** A database of this node alone becomes its replica: content and incarnation stay, the way of its writes does not. */
  async #adopt(told: ToldDatabase): Promise<void> {
    const { databases, store } = this.#context;
    const { name } = told;
    const { incarnation } = databases.get(name);
    const { replication } = this.createOptions(told);
    const placed = [{ name, number: databases.numberOf(name), incarnation, replication }];
    await databases.exchange({ placed, dropped: [] }, async (operations) => {
      await store.commit(operations);
      return true;
    });
  }

  /**
   * Says with it that everything before is applied. Entries that a crash repeats must meet what they met the first time: a
   * creation that lost to another of its name would win once that one is dropped.
   */
  async #drop(reference: DatabaseRef, position: LogPosition): Promise<void> {
    const name = this.#names.get(reference);
    if (name === undefined) return;
    this.#names.delete(reference);
    try {
      await this.#context.databases.drop(name, [appliedOperation(position)]);
    } catch (error) {
      this.#names.set(reference, name);
      throw error;
    }
    this.#applied = position.index;
  }

  async #applyAlone(
    command: Extract<Command, { kind: 'configure' | 'replace_owner' | 'chunk' | 'blob' }>,
  ): Promise<void> {
    const { databases } = this.#context;
    const name = this.#names.get(command.database);
    if (name === undefined) return;
    switch (command.kind) {
      case 'configure':
        return databases.configure(name, configured(databases.replication(name), command.replication));
      case 'replace_owner':
        return databases.configure(name, withReplacedOwner(databases.replication(name), command));
      case 'chunk':
        return databases.get(name).blobs.installChunk(command.chunkSet, command.index, command.bytes);
      case 'blob':
        return databases.get(name).blobs.installRecord(command, command.chunkSet);
    }
  }

  async #runTurn(reference: DatabaseRef, waiting: Map<DatabaseRef, TurnCommand[]>): Promise<void> {
    const commands = waiting.get(reference);
    waiting.delete(reference);
    const database = this.database(reference);
    if (commands === undefined || database === undefined) return;
    await database.submit((turn) => {
      for (const command of commands) applyInTurn(turn, command, database);
    });
  }
}

/** Written with what it says. */
export function appliedOperation({ index, term }: LogPosition): Operation {
  return { kind: 'put', key: appliedKey, value: Buffer.from(JSON.stringify({ index, term })) };
}

function configured(present: Replication, choice: ReplicationChoice): Replication {
  assert(present.strategy === choice.strategy, 'a database keeps its strategy');
  return { ...present, ...choice } as Replication;
}

function isTurnCommand(command: Command): command is TurnCommand {
  return (
    command.kind === 'write' ||
    command.kind === 'local' ||
    command.kind === 'purge' ||
    command.kind === 'settings'
  );
}

function unappliable(
  { database }: TurnCommand,
  { error, id }: Extract<EditOutcome, { kind: 'failed' }>,
): UnappliableError {
  const what = `document ${JSON.stringify(id)} of database ${database}`;
  return new UnappliableError(
    `The log has a write of ${what} that cannot be applied here: ${error.message} This node takes no further part ` +
      'in the group, and what it has is not what the others have. Start it with an empty data directory.',
    { cause: error },
  );
}

function applyInTurn(turn: Turn, command: TurnCommand, { inTurn }: Database): void {
  switch (command.kind) {
    case 'write':
      for (const revision of command.revisions) {
        const attachments = revision.attachments.map(storedAttachment);
        const outcome = applyReplicated(turn, { ...revision, attachments }, inTurn.settings());
        if (outcome.kind === 'failed') throw unappliable(command, outcome);
      }
      return;
    case 'local':
      putLocal(turn, inTurn, command);
      return;
    case 'purge':
      purgeInTurn(turn, new Map(command.request), inTurn);
      return;
    case 'settings':
      changeSettingsInTurn(turn, command.change, inTurn);
      return;
  }
}

export function storedAttachment(stub: LoggedRevision['attachments'][number]): AttachmentEdit {
  const { blob, contentType, digest, length, name, revpos } = stub;
  return { kind: 'stored', name, contentType, revpos, blob: { blob, digest, length } };
}

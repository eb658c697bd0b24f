/** How a database is to be replicated, as requests say it: `strategy`, and the settings of that strategy. */

import type { ReplicationChoice } from '../database/model.ts';
import { failure } from '../errors.ts';
import { ackNames, ackSettings, shownAckSettings } from './ack-parameters.ts';
import { leaderlessNames, leaderlessSettings, shownLeaderlessSettings } from './leaderless-parameters.ts';
import { oneOf, type Parameters } from './parameters.ts';
import type { Query } from './query.ts';
import type { JsonObject } from './services.ts';

type Strategy = ReplicationChoice['strategy'];

const settingNames: Readonly<Record<Strategy, readonly string[]>> = {
  'multi-leader': [],
  'single-leader': ackNames,
  leaderless: leaderlessNames,
};
const strategies = Object.keys(settingNames) as readonly Strategy[];

export interface ChoiceBase {
  /** How many nodes the cluster has. */
  readonly nodes: number;
  /** When none is named. */
  readonly standard: Strategy;
  /** What is said nothing of stays as it is here; none for a new database. */
  readonly present?: ReplicationChoice;
}

/** @throws TercetError as the parameters complain */
export function replicationChoice(
  parameters: Parameters,
  { nodes, standard, present }: ChoiceBase,
): ReplicationChoice {
  const strategy = oneOf(parameters, 'strategy', strategies) ?? standard;
  switch (strategy) {
    case 'multi-leader':
      return { strategy };
    case 'single-leader':
      return {
        strategy,
        ack: ackSettings(parameters, present?.strategy === strategy ? present.ack : undefined),
      };
    case 'leaderless': {
      const settings = present?.strategy === strategy ? { present: present.settings } : {};
      return { strategy, settings: leaderlessSettings(parameters, { nodes, ...settings }) };
    }
  }
}

/** What CouchDB's clients may say of any database. */
const couchNames: ReadonlySet<string> = new Set(['n', 'r', 'w']);

/** So that nobody believes in a guarantee of another strategy. @throws TercetError `query_parse_error` */
export function mustBeOfStrategy(query: Query, { strategy }: ReplicationChoice): void {
  const foreign = strategies
    .flatMap((each) => settingNames[each])
    .find((name) => query.has(name) && !settingNames[strategy].includes(name) && !couchNames.has(name));
  if (foreign !== undefined) {
    throw failure('query_parse_error', `A ${strategy} database has no setting ${JSON.stringify(foreign)}.`);
  }
}

/** A setting that is not there may be a misspelt one. @throws TercetError `bad_request` */
export function mustBeKnown(object: JsonObject, { strategy }: ReplicationChoice): void {
  const extra = Object.keys(object).find(
    (name) => name !== 'strategy' && !settingNames[strategy].includes(name),
  );
  if (extra !== undefined) {
    throw failure('bad_request', `A ${strategy} database has no setting ${JSON.stringify(extra)}.`);
  }
}

/** As `GET /{db}` and `GET /{db}/_replication` show it. */
export function shownChoice(replication: ReplicationChoice): object {
  const { strategy } = replication;
  switch (strategy) {
    case 'multi-leader':
      return { strategy };
    case 'single-leader':
      return { strategy, ...shownAckSettings(replication.ack) };
    case 'leaderless':
      return {
        strategy,
        ...shownLeaderlessSettings(replication.settings),
        ...(replication.owners && { owners: replication.owners.map(({ node }) => node) }),
      };
  }
}

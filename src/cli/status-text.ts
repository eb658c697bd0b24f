/** The table of `tercet status`. Pure: what the nodes said in, text out. */

/** What `GET /_cluster` answers. */
export interface ShownCluster {
  readonly node: string;
  /** Null: no member of the group. */
  readonly kind: string | null;
  /** Who says that it is no member any more, and what to do. */
  readonly removed: { readonly by: string; readonly advice: string } | null;
  readonly role: string;
  readonly term: number;
  readonly leader: string | null;
  readonly leader_choice: string;
  readonly has_quorum: boolean | null;
  readonly quorum: {
    readonly voters: number;
    readonly needed: number;
    readonly in_touch: number | null;
  } | null;
  /** Oldest first. */
  readonly epochs: readonly {
    readonly term: number;
    readonly leader: string;
    readonly first_index: number;
  }[];
  /** How writes are acknowledged, by database. */
  readonly acknowledgement: Readonly<
    Record<
      string,
      { readonly ack: string; readonly followers?: number | string; readonly on_timeout: string }
    >
  >;
  readonly commit: number;
  readonly applied: number;
  readonly nodes: readonly {
    readonly name: string;
    readonly url: string | null;
    readonly kind: string;
    readonly lag_entries: number | null;
    readonly lag_ms: number | null;
  }[];
}

export interface SeenNode {
  readonly name: string;
  readonly url: string | null;
  /** Undefined when it did not answer. */
  readonly cluster: ShownCluster | undefined;
}

interface TextOptions {
  /** Escape sequences for a terminal. */
  readonly isStyled: boolean;
}

const epochsShownMax = 5;
const databasesShownMax = 8;

const heading = ['NODE', 'ROLE', 'TERM', 'APPLIED', 'LAG', 'LEADER', 'URL'] as const;

export function statusText(seen: readonly SeenNode[], { isStyled }: TextOptions): string {
  const style = (code: string, text: string): string => (isStyled ? `\u001b[${code}m${text}\u001b[0m` : text);
  const leader = leaderOf(seen);
  const rows = seen.map((node) => rowOf(node, leader));
  const widths = heading.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  const body = rows.map((row, index) => {
    const { cluster } = seen[index] as SeenNode;
    if (cluster === undefined) return style('31', line(row));
    return cluster === leader ? style('1', line(row)) : line(row);
  });
  const table = [style('2', line(heading)), ...body].join('\n');
  const warnings = warningsOf(seen).map((text) => `\n${style('33', text)}\n`);
  const facts = leader === undefined ? '' : factsOf(leader);
  return `${summary(leader)}\n\n${table}\n${facts}${warnings.join('')}`;
}

function warningsOf(seen: readonly SeenNode[]): readonly string[] {
  const removed = seen.flatMap(({ cluster }) => cluster?.removed?.advice ?? []);
  const odds = oddsOf(seen);
  return odds === undefined ? removed : [odds, ...removed];
}

/** Nodes that were started with different rules would not agree on who may lead. */
function oddsOf(seen: readonly SeenNode[]): string | undefined {
  const choices = seen.flatMap(({ cluster, name }) =>
    cluster === undefined ? [] : [{ name, choice: cluster.leader_choice }],
  );
  if (new Set(choices.map(({ choice }) => choice)).size < 2) return undefined;
  const said = choices.map(({ choice, name }) => `${name} ${choice}`).join(', ');
  return `Warning: leaders are chosen in different ways (${said}): start all nodes with the same --leader-choice.`;
}

/** The last epochs, and what a write waits for. */
function factsOf({ acknowledgement, epochs }: ShownCluster): string {
  const led = epochs.slice(-epochsShownMax).map(({ first_index: from, leader, term }) => {
    return `${leader.replace(/#.*/, '')} from ${from} (term ${term})`;
  });
  const acks = Object.entries(acknowledgement).map(([name, { ack, followers, on_timeout: late }]) => {
    return `${name} ${ack}${followers === undefined ? '' : `(${followers})`}, late: ${late}`;
  });
  const shown = acks.slice(0, databasesShownMax);
  const more = acks.length > shown.length ? [`and ${acks.length - shown.length} more`] : [];
  const facts = [
    ...(led.length === 0 ? [] : [`Led by: ${led.join(', ')}`]),
    ...(acks.length === 0 ? [] : [`Acknowledged: ${[...shown, ...more].join('; ')}`]),
  ];
  return facts.length === 0 ? '' : `\n${facts.join('\n')}\n`;
}

/** Two may say that they lead, while one of them does not know better yet: the higher term is right. */
function leaderOf(seen: readonly SeenNode[]): ShownCluster | undefined {
  return seen
    .flatMap(({ cluster }) => (cluster?.role === 'leader' ? [cluster] : []))
    .toSorted((left, right) => right.term - left.term)[0];
}

function summary(leader: ShownCluster | undefined): string {
  if (leader === undefined) return 'Nobody leads: single-leader databases take no writes.';
  const { has_quorum: hasQuorum, quorum: health } = leader;
  const heard =
    health === null || health.in_touch === null ? '' : ` (${health.in_touch} of ${health.voters} voters)`;
  const quorum = `${hasQuorum === false ? 'without a quorum' : 'with a quorum'}${heard}`;
  return `${leader.node} leads in term ${leader.term}, ${quorum}; committed up to ${leader.commit}.`;
}

function rowOf({ name, url, cluster }: SeenNode, leader: ShownCluster | undefined): string[] {
  const known = leader?.nodes.find((member) => member.name === name);
  const lag = lagText(known);
  if (cluster === undefined) return [name, 'unreachable', '-', '-', lag, '-', url ?? '-'];
  const { kind, removed, role, term, applied, leader: believed } = cluster;
  const isLate = leader !== undefined && term < leader.term;
  // A member that takes no part: its disk is full, or it was just added.
  const withoutPart = known === undefined ? 'no member' : 'no part';
  const shownRole = kind === 'voter' ? role : (kind ?? (removed ? 'removed' : withoutPart));
  return [
    name,
    isLate && role === 'leader' ? 'deposed' : shownRole,
    ...[String(term), String(applied), cluster === leader ? '-' : lag, believed ?? '-', url ?? '-'],
  ];
}

function lagText(member: ShownCluster['nodes'][number] | undefined): string {
  const entries = member?.lag_entries ?? undefined;
  if (entries === undefined) return '-';
  const since = member?.lag_ms ?? 0;
  return entries === 0 ? '0' : `${entries} (${(since / 1_000).toFixed(1)} s)`;
}

/** What `tercet dev` prints once its nodes are equal: a table, and lines to paste that really work. Pure. */

export interface ShownNode {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
  /** Absolute. */
  readonly data: string;
  /** The command that starts it again. */
  readonly command: readonly string[];
}

export interface Guide {
  readonly nodes: readonly ShownNode[];
  /** Who leads the single-leader databases; undefined when nobody does. */
  readonly leader: string | undefined;
  /** For instance `calendar (10,209 public holidays of 207 countries)`. */
  readonly databases: readonly string[];
  /** Where PouchDB is installed; undefined when it is not. */
  readonly pouchdb: string | undefined;
  /** A directory for PouchDB's copy. */
  readonly pouchdbData: string;
  /** The Node to run it with, and the program of `tercet` itself. */
  readonly executable: string;
  readonly program: string;
}

export interface ThingToTry {
  readonly title: string;
  /** To paste one after the other, or all at once. */
  readonly lines: readonly string[];
}

export function thingsToTry(guide: Guide): readonly ThingToTry[] {
  const one = guide.nodes[0]!;
  const two = guide.nodes[1] ?? one;
  const last = guide.nodes.at(-1)!;
  const write = (text: string) => `curl -s -X PUT ${one.url}/notes/$id ${jsonHeader} -d '{"text":"${text}"}'`;
  return [
    {
      title: `Write on ${one.name}, read on ${two.name}`,
      lines: ['id=note-$(date +%s)', write(`written on ${one.name}`), `${untilThere} ${two.url}/notes/$id`],
    },
    {
      title: `Kill ${two.name}, write on, start it again, see it catch up`,
      lines: [
        `kill -9 ${two.pid}; id=missed-$(date +%s)`,
        write(`while ${two.name} was away`),
        `${two.command.map(shellWord).join(' ')} &`,
        `${untilThere} ${two.url}/notes/$id`,
      ],
    },
    {
      title: 'Sync a PouchDB: run it twice, the second time copies only what is new',
      lines: [pouchdbLine(guide, one.url)],
    },
    {
      title: `Read the changes feed of ${last.name} (with &feed=continuous it goes on for ever)`,
      lines: [`curl -s '${last.url}/calendar/_changes?limit=5&include_docs=true'`],
    },
    ...(guide.leader === undefined || guide.nodes.length < nodesForFailover
      ? []
      : [...failover(guide), missedWrite(guide)]),
  ];
}

/** Without so many nodes there is no majority left when one of them is killed. */
const nodesForFailover = 3;

/** Restarted nodes have other process ids than the table says, and the leader may be another one by then: so both are asked for. */
const jsonHeader = "-H 'content-type: application/json'";
// Replication takes a moment, so reading tries again until the document is there.
const untilThere = 'curl -sf --retry 40 --retry-delay 1 --retry-all-errors';

/** A process that was started again has another id than the table says, so it is asked for. */
function pidAt(url: string): string {
  return `curl -s ${url}/_node/_local/_system | sed 's/.*"pid":\\([0-9]*\\).*/\\1/'`;
}

function failover({ nodes, executable, program }: Guide): readonly ThingToTry[] {
  const eachUrl = `for url in ${nodes.map(({ url }) => url).join(' ')}; do`;
  const which = `case $(curl -s $url/_cluster) in *'"role":"leader","term"'*) leader=$url;; '{'*) other=$url;; esac`;
  const entry = `{"from":"anna","to":"bakery","amount_cents":480}`;
  const put = 'curl -sf --retry 10 --retry-delay 1 --retry-all-errors -X PUT';
  const status = [executable, program, 'status'].map(shellWord).join(' ');
  return [
    {
      title: 'Kill the leader of the ledger, write on through another node',
      lines: [
        `${eachUrl} ${which}; done`,
        `kill -9 $(${pidAt('$leader')}); id=entry-$(date +%s)`,
        `${put} $other/ledger/$id ${jsonHeader} -d '${entry}'`,
      ],
    },
    {
      title: 'See who leads now, and the new epoch',
      lines: [
        `${eachUrl} ${status} --url $url 2>/dev/null && break; done`,
        `${eachUrl} curl -s $url/_cluster | grep -o '"epochs":\\[[^]]*]' && break; done`,
      ],
    },
  ];
}

/** What was written while a replica was down: a majority knows it at once, that replica alone a moment later. */
function missedWrite({ nodes }: Guide): ThingToTry {
  const [one, two] = nodes as [ShownNode, ShownNode];
  const last = nodes.at(-1)!;
  const majority = Math.floor(nodes.length / 2) + 1;
  const read = (node: ShownNode, r: number) => `"${node.url}/carts/$id?r=${r}"`;
  return {
    title: `Kill a replica of the carts, write on, start it again, read it with r=${majority} and r=1`,
    lines: [
      `kill -9 $(${pidAt(last.url)}); id=cart-$(date +%s)`,
      `curl -si -X PUT ${one.url}/carts/$id ${jsonHeader} -d '{"items":["bread"]}' | grep -i -e ^HTTP -e ^Tercet -e '^{'`,
      `curl -s ${read(two, majority)}`,
      `${last.command.map(shellWord).join(' ')} &`,
      `${untilThere} ${read(last, majority)}`,
      `${untilThere} -i ${read(last, 1)}`,
    ],
  };
}

function pouchdbLine({ pouchdb, pouchdbData, executable }: Guide, url: string): string {
  const script = [
    `const PouchDB = require(${JSON.stringify(pouchdb ?? 'pouchdb')})`,
    `const db = new PouchDB(${JSON.stringify(pouchdbData)})`,
    `db.sync("${url}/calendar", { batch_size: 1000 }).then(({ pull, push }) => ` +
      'console.log(pull.docs_written + " documents pulled, " + push.docs_written + " pushed")).finally(() => db.close())',
  ].join('; ');
  const install = pouchdb === undefined ? 'npm install pouchdb && ' : '';
  return `${install}${shellWord(executable)} -e ${shellWord(script)}`;
}

/** A word as a POSIX shell needs it. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

export function guideText(guide: Guide): string {
  const roleOf = (name: string) =>
    guide.leader === undefined ? 'nobody leads' : name === guide.leader ? 'leads' : 'follows';
  const rows = guide.nodes.map(({ name, url, pid, data }) => [name, url, String(pid), roleOf(name), data]);
  const things = thingsToTry(guide).map(
    ({ title, lines }, index) =>
      `${index + 1}. ${title}\n\n${lines.map((line) => `   ${line}`).join('\n')}\n`,
  );
  return [
    table([['node', 'URL', 'pid', 'ledger', 'data'], ...rows]),
    `databases: ${guide.databases.join(', ')}\n`,
    `${things.length === 4 ? 'Four' : 'Seven'} things to try, in another terminal:\n`,
    ...things,
    'Ctrl-C stops all nodes; the next start finds their data, "--fresh" starts over.',
  ].join('\n');
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

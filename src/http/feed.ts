/**
 * The four forms of a feed (`_changes`, `_db_updates`), around rows that are made elsewhere:
 *
 * - `normal`: `{"results":[` rows `],"last_seq":…,"pending":…}`, at once
 * - `longpoll`: the same, but held open until there is a row or `timeout` has passed
 * - `continuous`: one row a line, until the client goes, `limit` is reached or `timeout` passes without a row
 * - `eventsource`: rows as server-sent events, whose ids browsers send back as `Last-Event-ID`
 */

import { limits } from '../config.ts';
import { failure } from '../errors.ts';
import type { Exchange } from './exchange.ts';
import { count, type Query } from './query.ts';
import { type StreamedAnswer, startStream } from './streamed-answer.ts';

/** A heartbeat more often than this is no use to anyone. */
const heartbeatMsMin = 10;

export type FeedKind = 'normal' | 'longpoll' | 'continuous' | 'eventsource';

export interface Feed {
  readonly kind: FeedKind;
  readonly since: string;
  readonly answer: StreamedAnswer;
  /** Aborts when the client has gone or the feed's time is over. */
  readonly signal: AbortSignal;
  /** Begins: until here the request can still fail with a status of its own. */
  open(): void;
  /** The time is over: send what there is. */
  isOver(): boolean;
  /** Adds a row that is complete JSON. */
  row(sequence: string | null, row: string): void;
  /** For a row in pieces: call `opening`, write to `answer`, call `closing`. */
  openRow(): void;
  closeRow(sequence: string | null): void;
  /** Sends what there is, without waiting for more; a live feed's silence starts anew. */
  flush(): Promise<void>;
  end(lastSequence: string, pending: number): void;
  /** Stops timers and listeners; always to be called. */
  release(): void;
}

interface Timing {
  readonly heartbeatMs: number | undefined;
  readonly timeoutMs: number | undefined;
}

/** Undefined for HEAD, which is answered here. @throws TercetError for parameters that make no sense */
export function startFeed(exchange: Exchange, query: Query = exchange.query): Feed | undefined {
  const kind = feedKind(query.get('feed'));
  const timing = timingOf(query);
  const since =
    (kind === 'eventsource' ? exchange.header('last-event-id') : undefined) ?? query.get('last-event-id');
  const contentType = kind === 'eventsource' ? 'text/event-stream' : 'application/json';
  const answer = startStream(exchange, { contentType, live: kind !== 'normal' });
  if (answer === undefined) return undefined;
  return new OpenFeed(exchange, { kind, since: since ?? query.get('since') ?? '0', answer, timing });
}

function feedKind(name: string | undefined): FeedKind {
  switch (name) {
    case undefined:
    case 'normal':
      return 'normal';
    case 'longpoll':
    case 'continuous':
    case 'eventsource':
      return name;
    case 'live':
      return 'continuous';
    default:
      throw failure('bad_request', 'Supported `feed` types: normal, continuous, live, longpoll, eventsource');
  }
}

/** A heartbeat keeps a feed open for ever unless a timeout is asked for too; without either there is a timeout. */
function timingOf(query: Query): Timing {
  const timeout = count(query, 'timeout');
  const timeoutMs = timeout === undefined ? undefined : Math.min(timeout, limits.changesTimeoutMsDefault);
  const text = query.get('heartbeat');
  if (text === undefined || text === 'false') {
    return { heartbeatMs: undefined, timeoutMs: timeoutMs ?? limits.changesTimeoutMsDefault };
  }
  if (text === 'true') return { heartbeatMs: limits.changesHeartbeatMsDefault, timeoutMs };
  const heartbeat = count(query, 'heartbeat') ?? 0;
  if (heartbeat === 0) {
    throw failure('bad_request', 'The heartbeat value should be a positive integer (in milliseconds).');
  }
  return { heartbeatMs: Math.max(heartbeat, heartbeatMsMin), timeoutMs };
}

class OpenFeed implements Feed {
  readonly kind: FeedKind;
  readonly since: string;
  readonly answer: StreamedAnswer;
  readonly signal: AbortSignal;
  readonly #exchange: Exchange;
  readonly #timing: Timing;
  readonly #time = new AbortController();
  #heartbeat: NodeJS.Timeout | undefined;
  #timeout: NodeJS.Timeout | undefined;
  #rows = 0;
  #rowsFlushed = 0;

  constructor(
    exchange: Exchange,
    settings: {
      readonly kind: FeedKind;
      readonly since: string;
      readonly answer: StreamedAnswer;
      readonly timing: Timing;
    },
  ) {
    this.kind = settings.kind;
    this.since = settings.since;
    this.answer = settings.answer;
    this.#timing = settings.timing;
    this.#exchange = exchange;
    this.signal = AbortSignal.any([exchange.signal, this.#time.signal]);
  }

  open(): void {
    if (this.kind !== 'normal') this.answer.open();
    if (this.#isEnveloped()) this.answer.text('{"results":[\n');
    this.#startTimers();
  }

  isOver(): boolean {
    return this.signal.aborted;
  }

  row(sequence: string | null, row: string): void {
    this.openRow();
    this.answer.text(row);
    this.closeRow(sequence);
  }

  openRow(): void {
    this.answer.isInsideRow = true;
    if (this.kind === 'eventsource') this.answer.text('data: ');
    else if (this.#isEnveloped() && this.#rows > 0) this.answer.text(',\n');
  }

  closeRow(sequence: string | null): void {
    this.#rows += 1;
    this.answer.isInsideRow = false;
    if (this.kind === 'continuous') this.answer.text('\n');
    if (this.kind === 'eventsource') this.answer.text(sequence === null ? '\n\n' : `\nid: ${sequence}\n\n`);
  }

  async flush(): Promise<void> {
    if (this.kind === 'normal' && !this.answer.isFull) return;
    await this.answer.flush();
    if (this.#rows === this.#rowsFlushed) return;
    this.#rowsFlushed = this.#rows;
    this.#timeout?.refresh();
  }

  end(lastSequence: string, pending: number): void {
    const tail = `"last_seq":${JSON.stringify(lastSequence)},"pending":${pending}}\n`;
    if (this.#isEnveloped()) this.answer.text(`\n],\n${tail}`);
    else if (this.kind === 'continuous') this.answer.text(`{${tail}`);
    this.answer.end();
  }

  release(): void {
    clearInterval(this.#heartbeat);
    clearTimeout(this.#timeout);
    this.#exchange.shared.feeds.delete(this.#exchange.response);
  }

  #isEnveloped(): boolean {
    return this.kind === 'normal' || this.kind === 'longpoll';
  }

  #startTimers(): void {
    const { heartbeatMs, timeoutMs } = this.#timing;
    const sign = this.kind === 'eventsource' ? 'event: heartbeat\ndata: \n\n' : '\n';
    if (heartbeatMs !== undefined)
      this.#heartbeat = setInterval(() => this.answer.heartbeat(sign), heartbeatMs);
    // A normal feed ends by itself; a line break between its rows is only to show a strict filter's client that it lives.
    if (this.kind === 'normal') return;
    this.#exchange.shared.feeds.add(this.#exchange.response);
    this.#exchange.endWithClient();
    if (timeoutMs !== undefined) this.#timeout = setTimeout(() => this.#time.abort(), timeoutMs);
  }
}

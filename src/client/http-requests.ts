/** Requests of the client: URL, credentials, JSON in and out, failures as errors. */

/** An answer that is an error: CouchDB's `error` and `reason` with its status. */
export class RequestError extends Error {
  readonly status: number;
  readonly error: string;
  readonly reason: string;
  /** For writes: `did_not_happen` makes a plain retry safe; after `unknown` look, or repeat with the same idempotency key. */
  readonly writeOutcome: 'did_not_happen' | 'unknown';

  constructor(status: number, error: string, reason: string, writeOutcome: 'did_not_happen' | 'unknown') {
    super(`${status} ${error}: ${reason}`);
    this.name = 'RequestError';
    this.status = status;
    this.error = error;
    this.reason = reason;
    this.writeOutcome = writeOutcome;
  }
}

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string | number | boolean>>;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

interface Settings {
  readonly credentials?: { readonly name: string; readonly password: string };
  readonly headers?: Readonly<Record<string, string>>;
  readonly fetch?: typeof fetch;
}

export class HttpRequests {
  readonly #base: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #fetch: typeof fetch;

  constructor(url: string, { credentials, fetch: ownFetch, headers }: Settings) {
    this.#base = url.replace(/\/+$/, '');
    this.#fetch = ownFetch ?? fetch;
    this.#headers = {
      accept: 'application/json',
      ...(credentials !== undefined && { authorization: basic(credentials.name, credentials.password) }),
      ...headers,
    };
  }

  /** The answer's JSON. @throws RequestError */
  async json<Answer>(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const response = await this.send(method, path, options);
    return (await response.json()) as Answer;
  }

  /** The same, with undefined for 404. */
  async jsonOrMissing<Answer>(
    method: string,
    path: string,
    options: RequestOptions,
  ): Promise<Answer | undefined> {
    return this.json<Answer>(method, path, options).catch((cause: unknown) => {
      if (cause instanceof RequestError && cause.status === 404) return undefined;
      throw cause;
    });
  }

  /** The answer with its body unread. @throws RequestError */
  async send(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    const { body, headers: own, query, signal } = options;
    const url = `${this.#base}${path}${query === undefined ? '' : queryText(query)}`;
    const type = body === undefined ? undefined : { 'content-type': 'application/json' };
    const response = await this.#fetch(url, {
      method,
      headers: { ...this.#headers, ...type, ...own },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal !== undefined && { signal }),
    });
    if (!response.ok) throw await errorOf(response);
    return response;
  }
}

async function errorOf(response: Response): Promise<RequestError> {
  const text = await response.text();
  const { error, reason } = shapeOf(text);
  // A server that does not say leaves it open, except where the status itself says that nothing was done.
  const refused = response.status >= 400 && response.status < 500;
  const said = response.headers.get('tercet-write');
  const outcome = said === 'did_not_happen' || (said === null && refused) ? 'did_not_happen' : 'unknown';
  return new RequestError(response.status, error, reason, outcome);
}

/** What stands between may answer something else than CouchDB's shape: a proxy's page, nothing at all. */
function shapeOf(text: string): { readonly error: string; readonly reason: string } {
  try {
    const { error, reason } = JSON.parse(text) as { error?: unknown; reason?: unknown };
    return { error: String(error ?? 'unknown'), reason: String(reason ?? '') };
  } catch {
    return { error: 'unknown', reason: text.slice(0, 200) };
  }
}

function queryText(query: Readonly<Record<string, string | number | boolean>>): string {
  const members = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  return members.length === 0 ? '' : `?${members.join('&')}`;
}

function basic(name: string, password: string): string {
  const bytes = new TextEncoder().encode(`${name}:${password}`);
  return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}

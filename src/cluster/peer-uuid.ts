const waitMs = 1_000;

/** The cluster uuid that a peer shows at `GET /`; undefined when it does not answer in time or is something else. */
export async function askPeerUuid(url: string): Promise<string | undefined> {
  const aborter = new AbortController();
  // The timer of `AbortSignal.timeout` keeps no process alive, and neither does a fetch whose connection was closed before
  // the request was out: a node that only waits for it would end, silently.
  const timer = setTimeout(() => aborter.abort(), waitMs);
  try {
    const answer = await fetch(`${url}/`, { signal: aborter.signal, redirect: 'error' });
    const { uuid, vendor } = (await answer.json()) as { uuid?: unknown; vendor?: { name?: unknown } };
    return typeof uuid === 'string' && vendor?.name === 'Tercet' ? uuid : undefined;
  } catch {
    // A peer that is not there yet is the ordinary case: nodes of a new cluster start one after the other.
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** What this process has answered so far, for `_stats` and `_prometheus`. */

export interface Counters {
  requests: number;
  readonly methods: Map<string, number>;
  readonly statuses: Map<number, number>;
}

export function createCounters(): Counters {
  return { requests: 0, methods: new Map(), statuses: new Map() };
}

export function countRequest(counters: Counters, method: string): void {
  counters.requests += 1;
  counters.methods.set(method, (counters.methods.get(method) ?? 0) + 1);
}

export function countStatus(counters: Counters, status: number): void {
  counters.statuses.set(status, (counters.statuses.get(status) ?? 0) + 1);
}

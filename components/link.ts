/** The classes of a link in text. */
export const LINK =
  'text-accent underline decoration-line-strong underline-offset-4 hover:decoration-current';

/** Returns the address of a queue's page, or of a part of it. */
export function queueHref(queue: string, rest = ''): string {
  return `/queues/${queue}${rest}`;
}

/** Parameters of an address. Those without a value are left out. */
export type Query = Record<string, string | undefined>;

/** Returns a query string that begins with `?`, or nothing without a value. */
export function queryString(query: Query): string {
  const pairs = Object.entries(query).flatMap(([name, value]) => (value ? [[name, value]] : []));
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs)}`;
}

/** Returns the address that lists the rows of a queue that match a filter: docs/api.md, "Find rows". */
export function rowsHref(queue: string, filter: Query = {}): string {
  return queueHref(queue, `/rows${queryString(filter)}`);
}

/** Returns the address of a row's page. `query`: the list that it was opened from. */
export function rowHref(queue: string, id: string, query: Query = {}): string {
  return queueHref(queue, `/rows/${encodeURIComponent(id)}${queryString(query)}`);
}

/** Returns the address of an error group's page. */
export function errorHref(queue: string, group: string): string {
  return queueHref(queue, `/errors/${group}`);
}

/** Returns the address of an account's page. */
export function accountHref(id: string): string {
  return `/accounts/${id}`;
}

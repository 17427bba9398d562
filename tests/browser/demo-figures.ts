/** Another port with BROWSER_TEST_PORT. The sandbox has the next one. */
export const port = Number(process.env.BROWSER_TEST_PORT ?? 4_320);
export const sandboxPort = port + 1;
export const address = `http://127.0.0.1:${port}`;

export interface Delivered {
  kind: 'message' | 'post';
  account: string;
  recipient: string;
  text: string;
  at: string;
}

export interface Figures {
  sent: number;
  published: number;
  jobsDone: number;
  unknown: number;
  /** Sent rows that a check or a webhook resolved. */
  resolved: number;
  /** Delivered messages. */
  delivered: Delivered[];
  /** Delivered posts. */
  posted: Delivered[];
}

export interface Row {
  id: string;
  attempts: number;
  row: Record<string, unknown>;
}

/** Reads a path of the API. */
export async function fetchApi(apiKey: string, path: string) {
  const response = await fetch(`${address}${path}`, { headers: { authorization: `Bearer ${apiKey}` } });
  return response.json();
}

/** Posts JSON to a path of the API. */
export async function postApi(apiKey: string, path: string, body: object) {
  const response = await fetch(`${address}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return response.json();
}

/** Lists the rows in one status through the API. */
export async function rowsOf(apiKey: string, queue: string, status: string): Promise<Row[]> {
  return (await fetchApi(apiKey, `/api/queues/${queue}/rows?status=${status}&limit=200`)).rows;
}

/** Reads the app's counts and the sandbox's deliveries. */
export async function figures(apiKey: string): Promise<Figures> {
  const stats = await fetchApi(apiKey, '/api/stats');
  const statesOf = (name: string) =>
    stats.queues.find((queue: { name: string }) => queue.name === name).states;
  const all: Delivered[] = await (await fetch(`http://127.0.0.1:${sandboxPort}/deliveries`)).json();
  const [delivered, posted] = (['message', 'post'] as const).map((kind) =>
    all.filter((one) => one.kind === kind),
  ) as [Delivered[], Delivered[]];
  const sent = await fetchApi(apiKey, '/api/dms?status=sent&limit=200');
  const resolved = sent.rows.filter((row: { row: { reconcile: unknown } }) => row.row.reconcile !== null);
  return {
    sent: statesOf('dm_queue').done.count,
    published: statesOf('posts').done.count,
    jobsDone: statesOf('jobs').done.count,
    unknown: statesOf('dm_queue').unknown.count,
    resolved: resolved.length,
    delivered,
    posted,
  };
}

/** Counts the deliveries of a text that was delivered before. Every row of the demo has its own text. */
export const countRepeats = (delivered: Delivered[]) =>
  delivered.length - new Set(delivered.map((one) => one.text)).size;

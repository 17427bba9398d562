export const port = 4_320;
export const sandboxPort = 4_321;
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
  /** Sent rows whose history says that a look or a webhook proved it. */
  foundOut: number;
  /** Messages. */
  delivered: Delivered[];
  posted: Delivered[];
}

export interface Row {
  id: string;
  attempts: number;
  row: Record<string, unknown>;
}

/** The API's answer. */
export async function asked(apiKey: string, path: string) {
  const response = await fetch(`${address}${path}`, { headers: { authorization: `Bearer ${apiKey}` } });
  return response.json();
}

/** Rows in one state, as the API lists them. */
export async function rowsOf(apiKey: string, queue: string, status: string): Promise<Row[]> {
  return (await asked(apiKey, `/api/queues/${queue}/rows?status=${status}&limit=200`)).rows;
}

/** What the app says, and what the sandbox has. */
export async function figures(apiKey: string): Promise<Figures> {
  const stats = await asked(apiKey, '/api/stats');
  const statesOf = (name: string) =>
    stats.queues.find((queue: { name: string }) => queue.name === name).states;
  const all: Delivered[] = await (await fetch(`http://127.0.0.1:${sandboxPort}/deliveries`)).json();
  const [delivered, posted] = (['message', 'post'] as const).map((kind) =>
    all.filter((one) => one.kind === kind),
  ) as [Delivered[], Delivered[]];
  const sent = await asked(apiKey, '/api/dms?status=sent&limit=200');
  const foundOut = sent.rows.filter((row: { row: { reconcile: unknown } }) => row.row.reconcile !== null);
  return {
    sent: statesOf('dm_queue').done.count,
    published: statesOf('posts').done.count,
    jobsDone: statesOf('jobs').done.count,
    unknown: statesOf('dm_queue').unknown.count,
    foundOut: foundOut.length,
    delivered,
    posted,
  };
}

/** How many were of a text that had been there before: every text of the demo is of one row. */
export const twiceIn = (delivered: Delivered[]) =>
  delivered.length - new Set(delivered.map((one) => one.text)).size;

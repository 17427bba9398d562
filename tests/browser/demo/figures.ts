import { setTimeout as sleep } from 'node:timers/promises';
import { patienceMs } from '../check.ts';
import type { Demo } from './demo.ts';

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

/** Reads a path of the API, again while the app says that it is busy, or posts `body` to it. Throws for any other answer than a success. */
// biome-ignore lint/suspicious/noExplicitAny: each path has a shape of its own.
export async function callApi(address: string, token: string, path: string, body?: object): Promise<any> {
  const endMs = Date.now() + patienceMs;
  for (;;) {
    const response = await fetch(`${address}${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    if (response.ok) return JSON.parse(text);
    if (body || response.status !== 503 || Date.now() > endMs)
      throw new Error(`${path} answered ${response.status}: ${text}`);
    await sleep(1_000);
  }
}

export const apiOf = (demo: Demo, path: string, body?: object) =>
  callApi(demo.address, demo.apiKey, path, body);

/** Lists the rows in one status through the API. */
export async function rowsOf(demo: Demo, queue: string, status: string): Promise<Row[]> {
  return (await apiOf(demo, `/api/queues/${queue}/rows?status=${status}&limit=200`)).rows;
}

/** Reads a log of the sandbox. */
export const logOf = async (demo: Demo, log: 'deliveries' | 'replies') =>
  (await fetch(`${demo.sandbox}/${log}`)).json();

/** Reads the app's counts, and then the sandbox's deliveries, which may be newer. */
export async function readFigures(demo: Demo): Promise<Figures> {
  const stats = await apiOf(demo, '/api/stats');
  const statesOf = (name: string) =>
    stats.queues.find((queue: { name: string }) => queue.name === name).states;
  const all: Delivered[] = await logOf(demo, 'deliveries');
  return {
    sent: statesOf('dm_queue').done.count,
    published: statesOf('posts').done.count,
    jobsDone: statesOf('jobs').done.count,
    unknown: statesOf('dm_queue').unknown.count,
    delivered: all.filter(({ kind }) => kind === 'message'),
    posted: all.filter(({ kind }) => kind === 'post'),
  };
}

/** Counts the deliveries of a text that was delivered before. Every row of the demo has its own text. */
export const countRepeats = (delivered: Delivered[]) =>
  delivered.length - new Set(delivered.map((one) => one.text)).size;

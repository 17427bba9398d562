import { notFound, unstable_rethrow } from 'next/navigation';
import { cache } from 'react';
import { parseInput } from '@/lib/http/input/parse-input.ts';
import { listAccounts } from '@/lib/operate/accounts.ts';
import { chartRows, type RowChart } from '@/lib/operate/rows/chart-rows.ts';
import { listRows, rowsQuery } from '@/lib/operate/rows/list-rows.ts';
import { type Neighbours, parsePlace, readNeighbours } from '@/lib/operate/rows/neighbours.ts';
import { findRows, readRow } from '@/lib/operate/rows/read-row.ts';
import type { RowFilter } from '@/lib/operate/rows/row-filter.ts';
import { readPath } from '@/lib/operate/rows/rows-route.ts';
import { listTicks, readTick, ticksQuery } from '@/lib/operate/ticks.ts';
import { listTestRows, maxTestRows } from '@/lib/queues/jobs/test-rows.ts';
import { readStats } from '@/lib/stats/stats.ts';
import type { QueueStats, Stats } from '@/lib/store/stats.ts';
import type { RowStory } from '@/lib/store/story/row-story.ts';
import { punctual } from '@/punctual.ts';
import { orNotFound, visitedServices, withFields } from './visited.ts';

/** Reads the figures of all queues. */
export const readQueues = cache(async (): Promise<Stats> => {
  await visitedServices();
  return readStats();
});

/** Reads the figures of all queues. `isNew`: no queue has rows apart from test rows, which `tests` lists, the latest first. */
export async function readStart(): Promise<Stats & { isNew: boolean; tests: string[] }> {
  const stats = await readQueues();
  const rows = stats.queues.flatMap(({ name, states }) =>
    Object.values(states).map(({ count }) => ({ name, count })),
  );
  const jobs = rows.reduce((sum, { name, count }) => sum + (name === 'jobs' ? count : 0), 0);
  if (jobs > maxTestRows || rows.some(({ name, count }) => name !== 'jobs' && count > 0))
    return { ...stats, isNew: false, tests: [] };
  const tests = jobs === 0 ? [] : await listTestRows((await visitedServices()).rpc);
  return { ...stats, isNew: jobs <= tests.length, tests };
}

/** Reads the figures of one queue, and when they were read. */
export async function readQueue(name: string): Promise<{ queue: QueueStats; now: string }> {
  const { queues, now } = await readQueues();
  const queue = queues.find((one) => one.name === name);
  return queue ? { queue, now } : notFound();
}

/** Shows the page "Not found" if a queue does not exist. Asks the database only about queues that this app does not tick. */
export async function requireQueue(name: string): Promise<void> {
  if (punctual.queues.some((queue) => queue.name === name)) return;
  // Any other error is said by the part of the page that meets it.
  await readQueue(name).catch(unstable_rethrow);
}

/** Reads a page of a queue's rows. `query`: the parameters of `rowsQuery`. */
export async function readRows(queue: string, query: Record<string, string | undefined>) {
  const { rpc } = await visitedServices();
  return withFields(() => listRows(rpc, queue, parseInput(rowsQuery, query)));
}

/** Reads when the rows that match a filter ended. `query`: the parts of a filter. Null if none of them has an end. */
export async function readChart(
  queue: string,
  query: Record<string, string | undefined>,
  range: { from: string; to: string },
): Promise<RowChart | null> {
  const { rpc } = await visitedServices();
  return withFields(() => chartRows(rpc, queue, parseFilter(query), range));
}

/** Reads the neighbours of a row in the list that its address names; null if it names none. `query`: the parts of a filter, and `place`. */
export async function readNeighboursOf(
  queue: string,
  id: string,
  { place: text, ...query }: Record<string, string | undefined>,
): Promise<Neighbours | null> {
  const place = parsePlace(text);
  if (place === null) return null;
  const { rpc } = await visitedServices();
  const list = { ...parseFilter(query), sort: query.sort };
  return withFields(() => readNeighbours(rpc, queue, id, list, place));
}

function parseFilter(query: Record<string, string | undefined>): RowFilter {
  const { limit: _, cursor: __, count: ___, sort: ____, ...filter } = parseInput(rowsQuery, query);
  return filter;
}

/** Reads a row with all that happened to it. If the queue has no such row, says so, and names queues that have one. */
export async function readStory(
  queue: string,
  id: string,
): Promise<{ story: RowStory } | { story: null; missing: string; elsewhere: string[] }> {
  const services = await visitedServices();
  try {
    const path = readPath(queue, id);
    return { story: await readRow(services, path.queue, path.id) };
  } catch (error) {
    const { status, message } = error as { status?: unknown; message: string };
    if (status !== 404) throw error;
    const others = (await findRows(services.rpc, id)).filter(({ by }) => by === 'id');
    return { story: null, missing: message, elsewhere: others.map((row) => row.queue) };
  }
}

/** Reads the names of up to 200 accounts. */
export const readAccounts = cache(async (): Promise<{ id: string; name: string }[]> => {
  const { rpc } = await visitedServices();
  return (await listAccounts(rpc, { limit: 200 })).items;
});

/** Reads a page of a queue's ticks. */
export async function readTicks(
  queue: string,
  query: { idle?: string; limit?: string; cursor?: string } = {},
) {
  const { rpc } = await visitedServices();
  return orNotFound(() => listTicks(rpc, queue, ticksQuery.parse(query)));
}

/** Reads one tick of a queue, with its report and its run. */
export async function readTickOf(queue: string, id: string) {
  const { rpc } = await visitedServices();
  const found = await orNotFound(() => readTick(rpc, id));
  return found.tick.queue === queue ? found : notFound();
}

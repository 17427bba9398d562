import { z } from 'zod';
import { apiRoute } from '../http/api-route.ts';
import { NotFoundError, toHttpError } from '../http/http-error.ts';
import { queueName } from '../http/input/row-id.ts';
import { listRoute, type Page, pageQuery, readPage } from '../http/page.ts';
import { yesOrNo } from '../http/query.ts';
import type { Rpc } from '../store/rpc.ts';
import { type LedgerTick, ledgerTickSchema, type TickInFull, tickInFullSchema } from '../store/ticks.ts';

export const ticksQuery = z.strictObject({
  idle: yesOrNo
    .default(false)
    .describe('`true` also lists ticks that found nothing due, or another tick running.'),
  ...pageQuery,
});

/** Reads a page of a queue's ticks, the latest first. Throws an `HttpError` or a `StoreError`. */
export async function listTicks(
  rpc: Rpc,
  queue: string,
  { idle, ...page }: z.output<typeof ticksQuery>,
): Promise<Page<LedgerTick>> {
  if (!queueName.safeParse(queue).success) throw new NotFoundError(`there is no queue "${queue}"`);
  try {
    return await readPage(rpc, 'list_ticks', ledgerTickSchema, page, { p_queue: queue, p_idle: idle });
  } catch (error) {
    throw toHttpError(error);
  }
}

/** Reads a tick with its whole report and its run. Throws an `HttpError` or a `StoreError`. */
export async function readTick(rpc: Rpc, id: string): Promise<TickInFull> {
  if (!z.guid().safeParse(id).success) throw new NotFoundError('there is no such tick: ids are UUIDs');
  try {
    return tickInFullSchema.parse(await rpc('read_tick', { p_id: id }));
  } catch (error) {
    throw toHttpError(error);
  }
}

export const listTicksRoute = listRoute({
  summary: 'Lists the queue’s ticks, the latest first, each with its report in short.',
  name: 'ticks',
  item: ledgerTickSchema,
  query: ticksQuery,
  errors: [404],
  list: (rpc, query, { queue }) => listTicks(rpc, queue, query),
  dashboard: true,
});

export const readTickRoute = apiRoute({
  summary: 'Returns a tick with its whole [report](#the-report-of-a-tick), and the ticks of its run.',
  response: tickInFullSchema,
  errors: [404],
  dashboard: true,
  handle: ({ services: { rpc }, params: { id } }) => readTick(rpc, id),
});

import { z } from 'zod';
import { incidentPage, monitorPage, monitorStates } from '../store/monitoring';
import type { Rpc } from '../store/rpc';
import { listLimit } from './list-query';
import { fieldRefusal, type RowRefusal } from './row-refusal';
import { wholeId } from './whole-id';

const askedMonitors = z.strictObject({
  state: z.enum(monitorStates).optional(),
  after: wholeId.optional(),
  limit: listLimit,
});

const askedIncidents = z.strictObject({
  open: z.enum(['true', 'false']).optional(),
  monitor: wholeId.optional(),
  before: wholeId.optional(),
  limit: listLimit,
});

/**
 * Monitors by id, `?state=` only those of one state, `&after=` after that id, `&limit=` 1 to 200 (50). Throws a `StoreError`.
 */
export async function listMonitors(
  rpc: Rpc,
  query: URLSearchParams,
): Promise<z.infer<typeof monitorPage> | RowRefusal> {
  const parsed = askedMonitors.safeParse(Object.fromEntries(query));
  if (!parsed.success) return fieldRefusal(parsed.error);
  const { state = null, after = null, limit } = parsed.data;
  return monitorPage.parse(await rpc('list_monitors', { p_state: state, p_after: after, p_limit: limit }));
}

/**
 * Incidents, the newest first, `?open=` only open or only closed ones, `&monitor=` of one monitor, `&before=` before that id, `&limit=` 1 to
 * 200 (50). Throws a `StoreError`.
 */
export async function listIncidents(
  rpc: Rpc,
  query: URLSearchParams,
): Promise<z.infer<typeof incidentPage> | RowRefusal> {
  const parsed = askedIncidents.safeParse(Object.fromEntries(query));
  if (!parsed.success) return fieldRefusal(parsed.error);
  const { open, monitor = null, before = null, limit } = parsed.data;
  const p_open = open === undefined ? null : open === 'true';
  return incidentPage.parse(
    await rpc('list_incidents', { p_open, p_monitor: monitor, p_before: before, p_limit: limit }),
  );
}

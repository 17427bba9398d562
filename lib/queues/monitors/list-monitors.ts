import { z } from 'zod';
import { wholeId } from '../../http/input/row-id.ts';
import { type Page, pageQuery, readPage } from '../../http/page.ts';
import { yesOrNo } from '../../http/query.ts';
import {
  type Incident,
  incidentSchema,
  type MonitorSummary,
  monitorStates,
  monitorSummary,
} from '../../store/monitoring.ts';
import type { Rpc } from '../../store/rpc.ts';

export const monitorsQuery = z.strictObject({
  state: z.enum(monitorStates).optional().describe('Only monitors in the state.'),
  ...pageQuery,
});

export const incidentsQuery = z.strictObject({
  open: yesOrNo.optional().describe('Only open incidents, or only closed ones.'),
  monitor: wholeId.optional().describe('Only incidents of the monitor.'),
  ...pageQuery,
});

/** Reads a page of monitors, by id. Throws a `StoreError`. */
export function listMonitors(
  rpc: Rpc,
  { state, ...page }: z.output<typeof monitorsQuery>,
): Promise<Page<MonitorSummary>> {
  return readPage(rpc, 'list_monitors', monitorSummary, page, { p_state: state ?? null });
}

/** Reads a page of incidents, the newest first. Throws a `StoreError`. */
export function listIncidents(
  rpc: Rpc,
  { open, monitor, ...page }: z.output<typeof incidentsQuery>,
): Promise<Page<Incident>> {
  return readPage(rpc, 'list_incidents', incidentSchema, page, {
    p_open: open ?? null,
    p_monitor: monitor ?? null,
  });
}

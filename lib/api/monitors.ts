import { apiJsonRoute, apiRoute } from '../http/api-route.ts';
import { bulkRoute } from '../http/bulk-route.ts';
import { listRoute } from '../http/page.ts';
import { addressCheck } from '../queues/monitors/address-check.ts';
import { deleteMonitor, editMonitor, readMonitor } from '../queues/monitors/edit-monitor.ts';
import {
  incidentsQuery,
  listIncidents,
  listMonitors,
  monitorsQuery,
} from '../queues/monitors/list-monitors.ts';
import { createMonitors } from '../queues/monitors/new-monitors.ts';
import { listRegions, removeRegion, saveRegion } from '../queues/monitors/regions.ts';
import { readMonitoring } from '../stats/stats.ts';
import type { Endpoints } from './endpoints.ts';

export const endpoints = {
  /**
   * Lists incidents, the newest first: `?open=true&monitor=42&limit=50&cursor=…`. `{ incidents, next }`; 400 with `{ errors: [{ field, message }] }`.
   */
  'GET /incidents': listRoute({ name: 'incidents', query: incidentsQuery, list: listIncidents }),
  /** Returns the dashboard's figures of monitors. */
  'GET /monitoring': apiRoute(({ services: { rpc } }) => readMonitoring(rpc), { dashboard: true }),
  /** Lists monitors by id: `?state=down&limit=50&cursor=…`. `{ monitors, next }`; 400 with `{ errors: [{ field, message }] }`. */
  'GET /monitors': listRoute({ name: 'monitors', query: monitorsQuery, list: listMonitors }),
  /** Creates monitors: see `bulkRoute`. */
  'POST /monitors': bulkRoute('nothing was created', ({ services: { rpc, env }, body, by }) =>
    createMonitors(rpc, addressCheck(env), body, by),
  ),
  /** Returns the monitor with its latest checks and incidents. 404. */
  'GET /monitors/:id': apiRoute<{ id: string }>(({ services: { rpc }, params }) =>
    readMonitor(rpc, params.id),
  ),
  /** Changes the given fields. 200 with the monitor; 404; 422. */
  'PATCH /monitors/:id': apiJsonRoute<{ id: string }>(
    ({ services: { rpc, env }, params, body, by }) =>
      editMonitor(rpc, addressCheck(env), params.id, body, by),
    { whenInvalid: 'nothing was changed' },
  ),
  /** Deletes the monitor with its checks and incidents. 200 with `{ id }`; 404. */
  'DELETE /monitors/:id': apiRoute<{ id: string }>(({ services: { rpc }, params, by }) =>
    deleteMonitor(rpc, params.id, by),
  ),
  /** Lists the regions that check monitors, each with its state: `{ regions }`. */
  'GET /regions': apiRoute(async ({ services: { rpc } }) => ({ regions: await listRegions(rpc) })),
  /** Creates a region, or changes the one with that name. 200 with `{ region }`; 409; 422. */
  'POST /regions': apiJsonRoute(({ services: { rpc }, body, by }) => saveRegion(rpc, body, by), {
    whenInvalid: 'the region was not saved',
  }),
  /** Removes the region. 200 with `{ name, moved }`: the number of monitors that moved to another region. 404; 409 for the default region. */
  'DELETE /regions/:name': apiRoute<{ name: string }>(({ services: { rpc }, params, by }) =>
    removeRegion(rpc, params.name, by),
  ),
} satisfies Endpoints;

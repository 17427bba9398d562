import { z } from 'zod';
import { apiJsonRoute, apiRoute } from '../http/api-route.ts';
import { bulkRoute } from '../http/bulk-route.ts';
import { listRoute } from '../http/page.ts';
import { addressCheck } from '../queues/monitors/address-check.ts';
import { deletedMonitor, deleteMonitor, editMonitor, readMonitor } from '../queues/monitors/edit-monitor.ts';
import {
  incidentsQuery,
  listIncidents,
  listMonitors,
  monitorsQuery,
} from '../queues/monitors/list-monitors.ts';
import { monitorChanges, monitorInput } from '../queues/monitors/monitor-fields.ts';
import { createMonitors } from '../queues/monitors/new-monitors.ts';
import {
  listRegions,
  regionInput,
  removedRegion,
  removeRegion,
  saveRegion,
} from '../queues/monitors/regions.ts';
import { readMonitoring } from '../stats/stats.ts';
import {
  incidentSchema,
  monitoringSchema,
  monitorSchema,
  monitorSummary,
  regionSchema,
} from '../store/monitoring.ts';
import type { Endpoints } from './endpoints.ts';

export const endpoints = {
  'GET /incidents': listRoute({
    summary: 'Lists incidents, the newest first.',
    name: 'incidents',
    item: incidentSchema,
    query: incidentsQuery,
    list: listIncidents,
  }),
  'GET /monitoring': apiRoute({
    summary: 'Returns the dashboard’s figures of monitors.',
    response: monitoringSchema,
    dashboard: true,
    handle: ({ services: { rpc } }) => readMonitoring(rpc),
  }),
  'GET /monitors': listRoute({
    summary: 'Lists monitors by id.',
    name: 'monitors',
    item: monitorSummary,
    query: monitorsQuery,
    list: listMonitors,
  }),
  'POST /monitors': bulkRoute({
    summary: 'Creates [monitors](monitors.md).',
    example: { name: 'Website', url: 'https://example.com' },
    row: monitorInput,
    nothing: 'nothing was created',
    create: ({ services: { rpc, env }, body, by }) => createMonitors(rpc, addressCheck(env), body, by),
  }),
  'GET /monitors/:id': apiRoute({
    summary:
      'Returns the monitor with its latest checks and incidents. The values of its headers are masked.',
    response: monitorSchema,
    errors: [404],
    handle: ({ services: { rpc }, params }) => readMonitor(rpc, params.id),
  }),
  'PATCH /monitors/:id': apiJsonRoute({
    summary: 'Changes the given fields, even during a check. The next check uses them.',
    body: monitorChanges,
    response: monitorSchema,
    errors: [404],
    whenInvalid: 'nothing was changed',
    handle: ({ services: { rpc, env }, params, body, by }) =>
      editMonitor(rpc, addressCheck(env), params.id, body, by),
  }),
  'DELETE /monitors/:id': apiRoute({
    summary: 'Deletes the monitor with its checks and incidents.',
    response: deletedMonitor,
    errors: [404],
    handle: ({ services: { rpc }, params, by }) => deleteMonitor(rpc, params.id, by),
  }),
  'GET /regions': apiRoute({
    summary: 'Lists the regions that check monitors, each with its state.',
    response: z.object({ regions: z.array(regionSchema) }),
    handle: async ({ services: { rpc } }) => ({ regions: await listRegions(rpc) }),
  }),
  'POST /regions': apiJsonRoute({
    summary: 'Creates a region, or changes the one with that name.',
    body: regionInput,
    response: z.object({ region: regionSchema }),
    errors: [409],
    whenInvalid: 'the region was not saved',
    handle: ({ services: { rpc }, body, by }) => saveRegion(rpc, body, by),
  }),
  'DELETE /regions/:name': apiRoute({
    summary: 'Removes the region; its monitors move to another one. 409 for the default region.',
    response: removedRegion,
    errors: [404, 409, 422],
    handle: ({ services: { rpc }, params, by }) => removeRegion(rpc, params.name, by),
  }),
} satisfies Endpoints;

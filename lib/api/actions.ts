import { listRoute } from '../http/page.ts';
import { actSchema, auditQuery, listAudit } from '../operate/audit.ts';
import {
  listActionsRoute,
  proveActionRoute,
  readActionRoute,
  steerActionRoute,
} from '../operate/rows/actions-route.ts';
import type { Endpoints } from './endpoints.ts';

export const endpoints = {
  'GET /actions': listActionsRoute,
  'GET /actions/:id': readActionRoute,
  'POST /actions/:id/continue': steerActionRoute(
    'continue',
    'Goes on with an action that waits (`first`) or was stopped.',
  ),
  'GET /actions/:id/proof': proveActionRoute,
  'POST /actions/:id/stop': steerActionRoute(
    'stop',
    'Stops an action: rows that are not written yet stay as they are.',
  ),
  'GET /audit': listRoute({
    summary: 'Lists what people changed, the latest first.',
    example: 'queue=posts&by=Mira',
    name: 'acts',
    item: actSchema,
    query: auditQuery,
    list: listAudit,
    dashboard: true,
  }),
} satisfies Endpoints;

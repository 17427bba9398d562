import { listRoute } from '../http/page.ts';
import { auditQuery, listAudit } from '../operate/audit.ts';
import {
  listActionsRoute,
  proveActionRoute,
  readActionRoute,
  steerActionRoute,
} from '../operate/rows/actions-route.ts';
import type { Endpoints } from './endpoints.ts';

export const endpoints = {
  'GET /actions': listActionsRoute(),
  'GET /actions/:id': readActionRoute(),
  'POST /actions/:id/continue': steerActionRoute('continue'),
  'GET /actions/:id/proof': proveActionRoute(),
  'POST /actions/:id/stop': steerActionRoute('stop'),
  /**
   * Lists acts of people, the latest first: `?queue=posts&by=Mira&limit=50&cursor=…`. 200 with `{ acts, next }`; 400 with
   * `{ errors: [{ field, message }] }`.
   */
  'GET /audit': listRoute({ name: 'acts', query: auditQuery, list: listAudit, dashboard: true }),
} satisfies Endpoints;

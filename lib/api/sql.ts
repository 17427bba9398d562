import { sqlRoute } from '../operate/sql-route.ts';
import type { Endpoints } from './endpoints.ts';

export const endpoints = {
  /** Runs SQL on the embedded database, in development: see `sqlRoute`. */
  'POST /sql': sqlRoute,
} satisfies Endpoints;

import { sqlRoute } from '../operate/sql-route.ts';
import type { Endpoints } from './endpoints.ts';

export const endpoints = { 'POST /sql': sqlRoute } satisfies Endpoints;

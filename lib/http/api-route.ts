import type { z } from 'zod';
import { systemClock } from '../engine/ports/clock.ts';
import { accessEnv } from '../services/env.ts';
import { getServices, type Services } from '../services/services.ts';
import { apiAccess, apiName } from './auth/access.ts';
import { hasCronSecret } from './auth/cron-secret.ts';
import { readJson } from './body.ts';
import { respond } from './error-response.ts';
import { HttpError } from './http-error.ts';
import { noQuery, type QuerySchema, readQuery } from './query.ts';

/** The input of an API handler. The caller has access. */
export interface ApiCall<Params, Query = object> {
  /** Parsed by the route's schema. */
  query: Query;
  params: Params;
  /** The caller's name, for histories and the audit. */
  by: string;
  services: Services;
  /** The path that was called, at most 1,000 characters. */
  path: string;
  /** When the call began, in the clock's milliseconds. */
  startedAt: number;
  /** The execution limit of the call in seconds. */
  maxDuration: number;
  after?: After;
}

/** Next's `after`: runs a task once the response is sent, within the same function's limit. */
export type After = (task: () => Promise<void>) => void;

/** What a route gets beside the request, from Next and from the file that mounts it. */
export interface RouteContext<Params = object> {
  params?: Promise<Params>;
  /** Without it, what is left to do waits for the next tick. */
  after?: After;
  /** The execution limit of the file that mounts the route, in seconds; 60 by default. */
  maxDuration?: number;
}

interface RouteOptions<Schema> {
  /** The dashboard reads this route, so it is open whenever the dashboard is. */
  dashboard?: boolean;
  /** Schedulers may also call it, with CRON_SECRET. */
  cron?: boolean;
  /** None by default. A parameter that it does not name is an error. */
  query?: Schema;
}

interface JsonRouteOptions<Schema> {
  query?: Schema;
  /** The message for an invalid body. It says that nothing was done. */
  whenInvalid?: string;
  /** An empty body counts as `{}`. */
  optional?: boolean;
}

/**
 * Returns a route that accepts an API key or the dashboard's cookie. Viewers may only GET. It responds 200 with the result of `handle` as JSON, or
 * with the result itself if that is a response. Errors get the response of `errorResponse`.
 */
export function apiRoute<Params = object, Schema extends QuerySchema = typeof noQuery>(
  handle: (call: ApiCall<Params, z.output<Schema>>) => Promise<object>,
  { dashboard = false, cron = false, query }: RouteOptions<Schema> = {},
) {
  return (request: Request, context?: RouteContext<Params>): Promise<Response> => {
    const startedAt = systemClock.now();
    return respond(async () => {
      const by = cron && hasCronSecret(request) ? apiName : requireAccess(request, dashboard);
      return handleRequest(request, { ...context, startedAt, by }, handle, query);
    });
  };
}

/** Like `apiRoute`, for a route with a JSON body. `handle` validates `body`. */
export function apiJsonRoute<Params = object, Schema extends QuerySchema = typeof noQuery>(
  handle: (call: ApiCall<Params, z.output<Schema>> & { body: unknown }) => Promise<object>,
  { optional = false, query, whenInvalid }: JsonRouteOptions<Schema> = {},
) {
  return (request: Request, context?: RouteContext<Params>): Promise<Response> => {
    const startedAt = systemClock.now();
    return respond(async () => {
      const by = requireAccess(request, false);
      const body = await readJson(request, optional ? {} : undefined);
      const call = { ...context, startedAt, by };
      return handleRequest<Params, Schema>(request, call, (read) => handle({ ...read, body }), query);
    }, whenInvalid);
  };
}

function requireAccess(request: Request, dashboard: boolean): string {
  const access = apiAccess(request, accessEnv(), Date.now(), { dashboard });
  if (!access.allowed) throw new HttpError(access.status, access.kind, access.message);
  return access.actor.name;
}

async function handleRequest<Params, Schema extends QuerySchema>(
  request: Request,
  { params, maxDuration = 60, ...call }: RouteContext<Params> & Pick<ApiCall<Params>, 'startedAt' | 'by'>,
  handle: (call: ApiCall<Params, z.output<Schema>>) => Promise<object>,
  schema: Schema = noQuery as unknown as Schema,
): Promise<object> {
  const url = new URL(request.url);
  const query = readQuery(url, schema);
  const read = { query, params: ((await params) ?? {}) as Params, path: url.pathname.slice(0, 1_000) };
  const services = await getServices();
  try {
    return await handle({ ...call, ...read, maxDuration, services });
  } finally {
    // The caller's next read shows the change.
    if (request.method !== 'GET') services.stats.forget();
  }
}

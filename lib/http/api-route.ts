import type { z } from 'zod';
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
}

interface RouteContext<Params> {
  params?: Promise<Params>;
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
  return (request: Request, context?: RouteContext<Params>): Promise<Response> =>
    respond(async () => {
      const by = cron && hasCronSecret(request) ? apiName : requireAccess(request, dashboard);
      return handleRequest(request, context, by, handle, query);
    });
}

/** Like `apiRoute`, for a route with a JSON body. `handle` validates `body`. */
export function apiJsonRoute<Params = object, Schema extends QuerySchema = typeof noQuery>(
  handle: (call: ApiCall<Params, z.output<Schema>> & { body: unknown }) => Promise<object>,
  { optional = false, query, whenInvalid }: JsonRouteOptions<Schema> = {},
) {
  return (request: Request, context?: RouteContext<Params>): Promise<Response> =>
    respond(async () => {
      const by = requireAccess(request, false);
      const body = await readJson(request, optional ? {} : undefined);
      return handleRequest<Params, Schema>(request, context, by, (call) => handle({ ...call, body }), query);
    }, whenInvalid);
}

function requireAccess(request: Request, dashboard: boolean): string {
  const access = apiAccess(request, accessEnv(), Date.now(), { dashboard });
  if (!access.allowed) throw new HttpError(access.status, access.kind, access.message);
  return access.actor.name;
}

async function handleRequest<Params, Schema extends QuerySchema>(
  request: Request,
  context: RouteContext<Params> | undefined,
  by: string,
  handle: (call: ApiCall<Params, z.output<Schema>>) => Promise<object>,
  schema: Schema = noQuery as unknown as Schema,
): Promise<object> {
  const query = readQuery(new URL(request.url), schema);
  const params = ((await context?.params) ?? {}) as Params;
  const services = await getServices();
  try {
    return await handle({ query, params, by, services });
  } finally {
    // The caller's next read shows the change.
    if (request.method !== 'GET') services.stats.forget();
  }
}

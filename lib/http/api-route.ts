import type { z } from 'zod';
import { accessEnv } from '../services/env';
import { getServices, type Services } from '../services/services';
import { apiAccess } from './auth/access';
import { hasCronSecret } from './auth/cron-secret';
import { readJson } from './body';
import { respond } from './error-response';
import { HttpError } from './http-error';
import { noQuery, type QuerySchema, readQuery } from './query';

/** What a handler of the API is given, when whoever asks may come in. */
export interface ApiCall<Params, Query = object> {
  /** As the route's schema has it. */
  query: Query;
  params: Params;
  by: keyof typeof actors;
  services: Services;
}

/** Who asks, in words for a history. */
export const actors = { api: 'the API', dashboard: 'somebody at the dashboard' };

interface RouteContext<Params> {
  params?: Promise<Params>;
}

interface RouteOptions<Schema> {
  /** What the dashboard itself reads, which is open where the dashboard is. */
  dashboard?: boolean;
  /** What a scheduler may call as well, with CRON_SECRET. */
  cron?: boolean;
  /** What may follow the `?`: nothing unless given, and what it does not name is refused. */
  query?: Schema;
}

interface JsonRouteOptions<Schema> {
  query?: Schema;
  /** Says that nothing was done, where the body is not as it should be. */
  whenInvalid?: string;
  /** No body at all is `{}`. */
  optional?: boolean;
}

/**
 * A route that takes API_KEY or the dashboard's cookie. It answers 200 with the JSON of what `handle` returns, unless that is a response, and
 * errors with what to do.
 */
export function apiRoute<Params = object, Schema extends QuerySchema = typeof noQuery>(
  handle: (call: ApiCall<Params, z.output<Schema>>) => Promise<object>,
  { dashboard = false, cron = false, query }: RouteOptions<Schema> = {},
) {
  return (request: Request, context?: RouteContext<Params>): Promise<Response> =>
    respond(async () => {
      const by = cron && hasCronSecret(request) ? 'api' : requireAccess(request, dashboard);
      return runHandler(request, context, by, handle, query);
    });
}

/** The same for one that takes JSON: `body` is whatever it is. */
export function apiJsonRoute<Params = object, Schema extends QuerySchema = typeof noQuery>(
  handle: (call: ApiCall<Params, z.output<Schema>> & { body: unknown }) => Promise<object>,
  { optional = false, query, whenInvalid }: JsonRouteOptions<Schema> = {},
) {
  return (request: Request, context?: RouteContext<Params>): Promise<Response> =>
    respond(async () => {
      const by = requireAccess(request, false);
      const body = await readJson(request, optional ? {} : undefined);
      return runHandler<Params, Schema>(request, context, by, (call) => handle({ ...call, body }), query);
    }, whenInvalid);
}

function requireAccess(request: Request, dashboard: boolean): ApiCall<object>['by'] {
  const access = apiAccess(request, accessEnv(), Date.now(), { dashboard });
  if (!access.allowed) throw new HttpError(access.status, access.kind, access.message);
  return access.by === 'api-key' ? 'api' : 'dashboard';
}

async function runHandler<Params, Schema extends QuerySchema>(
  request: Request,
  context: RouteContext<Params> | undefined,
  by: ApiCall<Params>['by'],
  handle: (call: ApiCall<Params, z.output<Schema>>) => Promise<object>,
  schema: Schema = noQuery as unknown as Schema,
): Promise<object> {
  const query = readQuery(new URL(request.url), schema);
  const params = ((await context?.params) ?? {}) as Params;
  const services = await getServices();
  try {
    return await handle({ query, params, by, services: services });
  } finally {
    // Whoever changes something sees it by his next look.
    if (request.method !== 'GET') services.stats.forget();
  }
}

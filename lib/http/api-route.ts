import type { z } from 'zod';
import { type Container, container } from '../services/container';
import { accessEnv } from '../services/env';
import { type Access, apiAccess } from './auth/access';
import { refuseCron } from './auth/refuse-cron';
import { failed } from './failure';
import { noQuery, type QuerySchema, readQuery } from './query';
import { readJson } from './read-json';
import { problem } from './respond';

/** What a handler of the API is given, when whoever asks may come in. */
export interface ApiCall<Params, Query = object> {
  /** As the route's schema has it. */
  query: Query;
  params: Params;
  by: Extract<Access, { allowed: true }>['by'];
  container: Container;
}

interface RouteContext<Params> {
  params?: Promise<Params>;
}

/**
 * A route that takes API_KEY or the dashboard's cookie. `dashboard` marks what the dashboard itself reads, which is open where the
 * dashboard is; `cron` what a clock may call as well, with CRON_SECRET. `query` says what may follow the `?`: nothing unless given, and
 * what it does not name is refused. Errors are answered with what to do.
 */
export function apiRoute<Params = object, Schema extends QuerySchema = typeof noQuery>(
  handle: (call: ApiCall<Params, z.output<Schema>>) => Promise<Response>,
  { dashboard = false, cron = false, query }: { dashboard?: boolean; cron?: boolean; query?: Schema } = {},
) {
  return async (request: Request, context?: RouteContext<Params>): Promise<Response> => {
    if (cron && refuseCron(request) === null) return answer(request, context, 'api-key', handle, query);
    const access = apiAccess(request, accessEnv(), Date.now(), { dashboard });
    if (!access.allowed) return problem(access.status, access.kind, access.message);
    return answer(request, context, access.by, handle, query);
  };
}

/** The same for one that takes JSON: `body` is whatever it is. `optional`: none at all is `{}`. */
export function apiJsonRoute<Params = object, Schema extends QuerySchema = typeof noQuery>(
  handle: (call: ApiCall<Params, z.output<Schema>> & { body: unknown }) => Promise<Response>,
  { optional = false, query }: { optional?: boolean; query?: Schema } = {},
) {
  return async (request: Request, context?: RouteContext<Params>): Promise<Response> => {
    const access = apiAccess(request, accessEnv(), Date.now());
    if (!access.allowed) return problem(access.status, access.kind, access.message);
    const body = await readJson(request, optional ? {} : undefined);
    if ('refused' in body) return body.refused;
    return answer<Params, Schema>(
      request,
      context,
      access.by,
      (call) => handle({ ...call, body: body.value }),
      query,
    );
  };
}

async function answer<Params, Schema extends QuerySchema>(
  request: Request,
  context: RouteContext<Params> | undefined,
  by: ApiCall<Params>['by'],
  handle: (call: ApiCall<Params, z.output<Schema>>) => Promise<Response>,
  schema: Schema = noQuery as unknown as Schema,
): Promise<Response> {
  const read = readQuery(new URL(request.url), schema);
  if ('refused' in read) return read.refused;
  try {
    const params = ((await context?.params) ?? {}) as Params;
    const shared = await container();
    try {
      return await handle({ query: read.query, params, by, container: shared });
    } finally {
      // Whoever changes something sees it by his next look.
      if (request.method !== 'GET') shared.stats.forget();
    }
  } catch (error) {
    return failed(error);
  }
}

import type { z } from 'zod';
import { systemClock } from '../engine/ports/clock.ts';
import { accessEnv } from '../services/env.ts';
import { getServices, type Services } from '../services/services.ts';
import { apiAccess, apiName } from './auth/access.ts';
import { hasCronSecret } from './auth/cron-secret.ts';
import { readJson } from './body.ts';
import { describeEndpoint, type EndpointAccess, type EndpointText } from './describe-endpoint.ts';
import { respond } from './error-response.ts';
import { HttpError } from './http-error.ts';
import { noQuery, type QuerySchema, readQuery } from './query.ts';

/** The parameters of paths. */
export type PathParams = Record<'id' | 'queue' | 'name' | 'key', string>;

/** The input of an API handler. The caller has access. */
export interface ApiCall<Query = object> {
  /** Parsed by the route's schema. */
  query: Query;
  /** The parameters that the endpoint's path names. */
  params: PathParams;
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
export interface RouteContext {
  params?: Promise<Partial<PathParams>>;
  /** Without it, what is left to do waits for the next tick. */
  after?: After;
  /** The execution limit of the file that mounts the route, in seconds; 60 by default. */
  maxDuration?: number;
}

interface RouteOptions<Answer extends z.ZodType, Query extends QuerySchema>
  extends EndpointText<Answer, Query> {
  handle: (call: ApiCall<z.output<Query>>) => Promise<z.output<Answer> | Response>;
  /** The dashboard reads this route, so it is open whenever the dashboard is. */
  dashboard?: boolean;
  /** Schedulers may also call it, with CRON_SECRET. */
  cron?: boolean;
}

interface JsonRouteOptions<Answer extends z.ZodType, Query extends QuerySchema, Body extends z.ZodType>
  extends EndpointText<Answer, Query> {
  handle: (call: ApiCall<z.output<Query>> & { body: unknown }) => Promise<z.output<Answer> | Response>;
  /** The schema by which `handle` parses the body, for the API's document. */
  body: Body;
  /** The message for an invalid body. It says that nothing was done. */
  whenInvalid?: string;
  /** An empty body counts as `{}`. */
  bodyIsOptional?: boolean;
}

/**
 * Returns a route that accepts an API key or the dashboard's cookie. Viewers may only GET. It responds 200 with the result of `handle` as JSON, or
 * with the result itself if that is a response. Errors get the response of `errorResponse`.
 */
export function apiRoute<Answer extends z.ZodType, Query extends QuerySchema = typeof noQuery>({
  handle,
  dashboard = false,
  cron = false,
  ...text
}: RouteOptions<Answer, Query>) {
  const route = (request: Request, context?: RouteContext): Promise<Response> => {
    const startedAt = systemClock.now();
    return respond(async () => {
      const by = cron && hasCronSecret(request) ? apiName : requireAccess(request, dashboard);
      return handleRequest(request, { ...context, startedAt, by }, handle, text.query);
    });
  };
  const access: EndpointAccess = cron ? 'key or cron' : 'key';
  return describeEndpoint<typeof route, Answer, Query>(route, { ...text, access });
}

/** Like `apiRoute`, for a route with a JSON body. `handle` validates `body`. */
export function apiJsonRoute<
  Answer extends z.ZodType,
  Body extends z.ZodType,
  Query extends QuerySchema = typeof noQuery,
>({ handle, whenInvalid, ...text }: JsonRouteOptions<Answer, Query, Body>) {
  const route = (request: Request, context?: RouteContext): Promise<Response> => {
    const startedAt = systemClock.now();
    return respond(async () => {
      const by = requireAccess(request, false);
      const body = await readJson(request, text.bodyIsOptional ? {} : undefined);
      const call = { ...context, startedAt, by };
      return handleRequest(
        request,
        call,
        (read: ApiCall<z.output<Query>>) => handle({ ...read, body }),
        text.query,
      );
    }, whenInvalid);
  };
  const access: EndpointAccess = 'key';
  return describeEndpoint<typeof route, Answer, Query, Body>(route, { ...text, access });
}

function requireAccess(request: Request, dashboard: boolean): string {
  const access = apiAccess(request, accessEnv(), Date.now(), { dashboard });
  if (!access.allowed) throw new HttpError(access.status, access.kind, access.message);
  return access.actor.name;
}

async function handleRequest<Query extends QuerySchema>(
  request: Request,
  { params, maxDuration = 60, ...call }: RouteContext & Pick<ApiCall, 'startedAt' | 'by'>,
  handle: (call: ApiCall<z.output<Query>>) => Promise<unknown>,
  schema: Query = noQuery as unknown as Query,
): Promise<unknown> {
  const url = new URL(request.url);
  const query = readQuery(url, schema);
  const read = { query, params: ((await params) ?? {}) as PathParams, path: url.pathname.slice(0, 1_000) };
  const services = await getServices();
  try {
    return await handle({ ...call, ...read, maxDuration, services });
  } finally {
    // The caller's next read shows the change.
    if (request.method !== 'GET') services.stats.forget();
  }
}

import { type Access, apiAccess } from './access';
import { type Container, container } from './container';
import { accessEnv } from './env';
import { failed } from './failure';
import { readJson } from './read-json';
import { refuseCron } from './refuse-cron';
import { problem } from './respond';

/** What a handler of the API is given, when whoever asks may come in. */
export interface ApiCall<Params> {
  url: URL;
  params: Params;
  by: Extract<Access, { allowed: true }>['by'];
  container: Container;
}

interface RouteContext<Params> {
  params?: Promise<Params>;
}

/**
 * A route that takes API_KEY or the dashboard's cookie. `dashboard` marks what the dashboard itself reads, which is open where the
 * dashboard is; `cron` what a clock may call as well, with CRON_SECRET. Errors are answered with what to do.
 */
export function apiRoute<Params = object>(
  handle: (call: ApiCall<Params>) => Promise<Response>,
  { dashboard = false, cron = false }: { dashboard?: boolean; cron?: boolean } = {},
) {
  return async (request: Request, context?: RouteContext<Params>): Promise<Response> => {
    if (cron && refuseCron(request) === null) return answer(request, context, 'api-key', handle);
    const access = apiAccess(request, accessEnv(), Date.now(), { dashboard });
    if (!access.allowed) return problem(access.status, access.kind, access.message);
    return answer(request, context, access.by, handle);
  };
}

/** The same for one that takes JSON: `body` is whatever it is. `optional`: none at all is `{}`. */
export function apiJsonRoute<Params = object>(
  handle: (call: ApiCall<Params> & { body: unknown }) => Promise<Response>,
  { optional = false }: { optional?: boolean } = {},
) {
  return async (request: Request, context?: RouteContext<Params>): Promise<Response> => {
    const access = apiAccess(request, accessEnv(), Date.now());
    if (!access.allowed) return problem(access.status, access.kind, access.message);
    const body = await readJson(request, optional ? {} : undefined);
    if ('refused' in body) return body.refused;
    return answer<Params>(request, context, access.by, (call) => handle({ ...call, body: body.value }));
  };
}

async function answer<Params>(
  request: Request,
  context: RouteContext<Params> | undefined,
  by: ApiCall<Params>['by'],
  handle: (call: ApiCall<Params>) => Promise<Response>,
): Promise<Response> {
  try {
    const params = ((await context?.params) ?? {}) as Params;
    const shared = await container();
    try {
      return await handle({ url: new URL(request.url), params, by, container: shared });
    } finally {
      // Whoever changes something sees it by his next look.
      if (request.method !== 'GET') shared.stats.forget();
    }
  } catch (error) {
    return failed(error);
  }
}

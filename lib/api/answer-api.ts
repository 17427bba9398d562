import { cronRoute } from '../cron/cron-route.ts';
import { findEndpoint } from '../cron/handlers/find-endpoint.ts';
import type { RouteContext } from '../http/api-route.ts';
import { problem } from '../http/respond.ts';
import { registeredApp } from '../queues/registered-app.ts';
import { groups } from './all-endpoints.ts';
import type { Endpoint, Endpoints } from './endpoints.ts';

/**
 * Answers a call of the API or of a cron path. `path` has the decoded parts below the API's own path. 404 for an unknown path, and 405 for a
 * method that the path does not take.
 */
export async function answerApi(
  request: Request,
  path: readonly string[],
  context: Omit<RouteContext, 'params'>,
): Promise<Response> {
  const [first = ''] = path;
  if (first === 'cron') return answerCronPath(request, path, context);
  const endpoints = (await groups.get(first)?.())?.endpoints ?? {};
  const { methods, params } = findPath(endpoints, path);
  if (methods.size === 0) return unknownPath(request);
  const endpoint = methods.get(methodOf(request));
  if (!endpoint) return otherMethod(request, [...methods.keys()]);
  return endpoint(request, { ...context, params: Promise.resolve(params as never) });
}

/** Next passes HEAD to the route of GET, and leaves the body out itself. */
const methodOf = ({ method }: Request) => (method === 'HEAD' ? 'GET' : method);

/** Finds the methods of a path. A part that is named goes before one that is a parameter: `/jobs/run` is not the job `run`. */
function findPath(
  endpoints: Endpoints,
  path: readonly string[],
): { methods: Map<string, Endpoint>; params: Record<string, string> } {
  const methods = new Map<string, Endpoint>();
  let params: Record<string, string> = {};
  for (const [name, endpoint] of Object.entries(endpoints)) {
    const [method = '', pattern = ''] = name.split(' ');
    const found = matchPath(pattern.slice(1).split('/'), path);
    if (!found || (methods.size > 0 && Object.keys(found).length > Object.keys(params).length)) continue;
    if (Object.keys(found).length < Object.keys(params).length) methods.clear();
    methods.set(method, endpoint);
    params = found;
  }
  return { methods, params };
}

/** Returns the parameters of the path; null if it does not match. */
function matchPath(pattern: readonly string[], path: readonly string[]): Record<string, string> | null {
  if (pattern.length !== path.length) return null;
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const given = path[index] ?? '';
    if (part.startsWith(':')) params[part.slice(1)] = given;
    else if (part !== given) return null;
  }
  return params;
}

function answerCronPath(
  request: Request,
  path: readonly string[],
  { after, maxDuration = 60 }: Omit<RouteContext, 'params'>,
): Promise<Response> | Response {
  const endpoint = findEndpoint(`/${path.join('/')}`, registeredApp().queues);
  if (!endpoint) return unknownPath(request);
  if (!['GET', 'POST'].includes(methodOf(request))) return otherMethod(request, ['GET', 'POST']);
  return cronRoute(endpoint, { maxDuration, after })(request);
}

function unknownPath(request: Request): Response {
  const { pathname } = new URL(request.url);
  const message = `the API has no path ${pathname}: docs/api.md and the pages it links to name the paths`;
  return problem(404, 'not_found', message);
}

function otherMethod(request: Request, methods: readonly string[]): Response {
  const { pathname } = new URL(request.url);
  const message = `${pathname} takes ${methods.join(' and ')}, not ${request.method}`;
  const response = problem(405, 'method_not_allowed', message);
  response.headers.set('Allow', methods.join(', '));
  return response;
}

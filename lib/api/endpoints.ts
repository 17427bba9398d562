import type { RouteContext } from '../http/api-route.ts';
import type { EndpointDescription } from '../http/describe-endpoint.ts';

export type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

/** Answers one method of one path. The caller's access is its own matter. */
export interface Endpoint {
  (request: Request, context: RouteContext): Promise<Response> | Response;
  description: EndpointDescription;
}

/** Endpoints by method and path below the API's. A part that begins with a colon is a parameter. */
export type Endpoints = Readonly<Record<`${Method} /${string}`, Endpoint>>;

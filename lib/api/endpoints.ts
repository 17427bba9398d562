import type { RouteContext } from '../http/api-route.ts';

export type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

/** Answers one method of one path. The caller's access is its own matter. */
export type Endpoint = (request: Request, context: RouteContext<never>) => Promise<Response> | Response;

/** Endpoints by method and path below the API's. A part that begins with a colon is a parameter. */
export type Endpoints = Readonly<Record<`${Method} /${string}`, Endpoint>>;

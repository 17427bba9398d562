import type { z } from 'zod';
import type { noQuery, QuerySchema } from './query.ts';

/**
 * Who may call an endpoint. `key`: an API key or the dashboard's cookie. `cron`: CRON_SECRET. `key or cron`: either. `webhook`: a provider, with its
 * signature or secret. `none`: everybody.
 */
export type EndpointAccess = 'key' | 'cron' | 'key or cron' | 'webhook' | 'none';

/** What an endpoint's author says of it. */
export interface EndpointText<Answer extends z.ZodType, Query extends QuerySchema> {
  /** One sentence or two, which begin with a verb. */
  summary: string;
  /** The body of a successful response. */
  response: Answer;
  /** The statuses of success; 200 by default. */
  statuses?: readonly number[];
  /** The statuses of errors that not every endpoint has, such as 404 and 409. */
  errors?: readonly number[];
  /** None by default. A parameter that it does not name is an error. */
  query?: Query;
  /** A body, or a query string, for the documentation. */
  example?: object | string;
}

/** What the API's document says of an endpoint. */
export interface EndpointDescription<
  Answer extends z.ZodType = z.ZodType,
  Query extends QuerySchema = QuerySchema,
  Body extends z.ZodType | undefined = z.ZodType | undefined,
> extends EndpointText<Answer, Query> {
  access: EndpointAccess;
  body?: Body;
  /** An empty body counts as `{}`. */
  bodyIsOptional?: boolean;
  /** The media type of a successful response; JSON by default. */
  mediaType?: string;
}

/** Attaches the description to an endpoint. */
export function describeEndpoint<
  Handler extends (...args: never[]) => unknown,
  Answer extends z.ZodType,
  Query extends QuerySchema = typeof noQuery,
  Body extends z.ZodType | undefined = undefined,
>(handler: Handler, description: EndpointDescription<Answer, Query, Body>) {
  // A bound copy, because one handler may serve two endpoints.
  return Object.assign(handler.bind(null) as unknown as Handler, { description });
}

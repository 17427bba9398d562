import type { z } from 'zod';
import type { endpoints as accounts } from '../api/accounts.ts';
import type { endpoints as actions } from '../api/actions.ts';
import type { endpoints as dms } from '../api/dms.ts';
import type { endpoints as jobs } from '../api/jobs.ts';
import type { endpoints as monitors } from '../api/monitors.ts';
import type { endpoints as posts } from '../api/posts.ts';
import type { endpoints as queues } from '../api/queues.ts';
import type { endpoints as sequences } from '../api/sequences.ts';
import type { endpoints as stats } from '../api/stats.ts';
import type { InsertedRow } from '../http/input/insert-many.ts';
import type { Jobs } from '../jobs/find-job.ts';
import type { NewJob } from '../queues/jobs/create-job.ts';

/** The endpoints by method and path. Only their types: the client contains no server code. */
type Api = typeof accounts &
  typeof actions &
  typeof dms &
  typeof jobs &
  typeof monitors &
  typeof posts &
  typeof queues &
  typeof sequences &
  typeof stats;

/** A method and path, for example `GET /accounts/:id`. */
export type EndpointName = keyof Api;

type Description<Name extends EndpointName> = Api[Name]['description'];

/** The response of an endpoint. */
export type Answer<Name extends EndpointName> = z.output<Description<Name>['response']>;

type BodySchema<Name extends EndpointName> = NonNullable<Description<Name>['body']>;

/** The body that an endpoint takes; `never` if it takes none. */
export type Body<Name extends EndpointName> = [BodySchema<Name>] extends [never]
  ? never
  : z.input<BodySchema<Name>>;

/** One row of an endpoint that creates rows. */
export type NewRow<Name extends EndpointName> = Exclude<Body<Name>, readonly unknown[]>;

/** The query that an endpoint takes. Numbers, `true`, `false` and lists become text. */
export type Query<Name extends EndpointName> = {
  [Key in keyof QueryInput<Name>]: Parameter<QueryInput<Name>[Key]>;
};

type QueryInput<Name extends EndpointName> = z.input<NonNullable<Description<Name>['query']>>;

type Parameter<Value> =
  | Value
  | ('true' extends Value ? boolean : never)
  | (string extends Value ? number | readonly string[] : never);

/** The parameters of an endpoint's path. */
export type PathParams<Name extends string> = Name extends `${string}:${infer Param}/${infer Rest}`
  ? Record<Param, string> & PathParams<`/${Rest}`>
  : Name extends `${string}:${infer Param}`
    ? Record<Param, string>
    : object;

/** With the app's job handlers, names and payloads have their types. */
export type JobInput<Known extends Jobs> = Jobs extends Known ? NewRow<'POST /jobs'> : NewJob<Known>;

/** A job with a handler. */
export type HandlerJobInput<Known extends Jobs> = Exclude<JobInput<Known>, { url: unknown }>;

/** Creates one row, or up to 1,000 in one call, all or none. */
export interface Create<Row> {
  (row: Row, options?: { signal?: AbortSignal }): Promise<InsertedRow>;
  (rows: readonly Row[], options?: { signal?: AbortSignal }): Promise<InsertedRow[]>;
}

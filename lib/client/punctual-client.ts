import type { Jobs } from '../jobs/find-job.ts';
import type { Answer, Body, Create, EndpointName, JobInput, NewRow, Query } from './api-types.ts';
import { apiCaller, type CallOptions, type ClientOptions } from './call-api.ts';
import { pages } from './pages.ts';

export type { Answer, Body, Create, EndpointName, JobInput, NewRow, Query } from './api-types.ts';
export type { CallOptions, ClientOptions } from './call-api.ts';
export type { Pages } from './pages.ts';
export { PunctualError, type PunctualFieldError } from './punctual-error.ts';
export { type SupabaseClientOptions, supabaseClient } from './supabase-client.ts';

/**
 * Returns a client of the API over HTTP. Each method throws a `PunctualError`. A call is sent once, and up to two more times after no response if
 * each of its rows has an idempotency key. Pass the type of your handlers to type jobs: `punctualClient<typeof handlers>(…)`.
 */
export function punctualClient<Known extends Jobs = Jobs>(options: ClientOptions) {
  const call = apiCaller(options);
  const byId =
    <Name extends EndpointName>(name: Name) =>
    (id: string, more: CallOptions = {}): Promise<Answer<Name>> =>
      call(name, { params: { id } as never, ...more });
  const changeById =
    <Name extends EndpointName>(name: Name) =>
    (id: string, body: Body<Name>, more: CallOptions = {}): Promise<Answer<Name>> =>
      call(name, { params: { id } as never, body, ...more });
  const listOf =
    <Name extends EndpointName>(name: Name) =>
    (query?: Query<Name>, more: CallOptions = {}) =>
      pages(call, name, { query, ...more });
  const byQueue =
    <Name extends EndpointName>(name: Name) =>
    (queue: string, body: Body<Name>, more: CallOptions = {}): Promise<Answer<Name>> =>
      call(name, { params: { queue } as never, body, ...more });
  const rowOf =
    <Name extends EndpointName>(name: Name) =>
    (queue: string, id: string, more: CallOptions = {}): Promise<Answer<Name>> =>
      call(name, { params: { queue, id } as never, ...more });
  const create = <Row>(name: 'POST /jobs' | 'POST /dms' | 'POST /posts' | 'POST /monitors') =>
    (async (rows: Row | readonly Row[], more: CallOptions = {}) => {
      const answer = await call(name, { body: rows as never, ...more });
      return Array.isArray(rows) ? answer.rows : answer.rows[0];
    }) as Create<Row>;

  return {
    /** Calls any endpoint, for example `call('GET /stats')`. */
    call,
    jobs: {
      create: create<JobInput<Known>>('POST /jobs'),
      read: byId('GET /jobs/:id'),
      cancel: byId('DELETE /jobs/:id'),
    },
    dms: {
      enqueue: create<NewRow<'POST /dms'>>('POST /dms'),
      list: listOf('GET /dms'),
      why: byId('GET /dms/:id/why'),
    },
    posts: {
      create: create<NewRow<'POST /posts'>>('POST /posts'),
      list: listOf('GET /posts'),
      read: byId('GET /posts/:id'),
      change: changeById('PATCH /posts/:id'),
      cancel: byId('DELETE /posts/:id'),
    },
    rows: {
      list: (queue: string, query?: Query<'GET /queues/:queue/rows'>, more: CallOptions = {}) =>
        pages(call, 'GET /queues/:queue/rows', { params: { queue }, query, ...more }),
      find: async (text: string, more: CallOptions = {}) =>
        (await call('GET /find', { query: { q: text }, ...more })).rows,
      read: rowOf('GET /queues/:queue/rows/:id'),
      why: rowOf('GET /queues/:queue/rows/:id/why'),
      resolve: (
        queue: string,
        id: string,
        body: Body<'POST /queues/:queue/rows/:id/resolve'>,
        more: CallOptions = {},
      ) => call('POST /queues/:queue/rows/:id/resolve', { params: { queue, id }, body, ...more }),
    },
    actions: {
      start: byQueue('POST /queues/:queue/actions'),
      list: listOf('GET /actions'),
      read: byId('GET /actions/:id'),
      stop: byId('POST /actions/:id/stop'),
      continue: byId('POST /actions/:id/continue'),
    },
    accounts: {
      list: listOf('GET /accounts'),
      read: byId('GET /accounts/:id'),
      save: async (body: Body<'POST /accounts'>, more: CallOptions = {}) =>
        (await call('POST /accounts', { body, ...more })).account,
      pause: changeById('POST /accounts/:id/pause'),
      resume: byId('POST /accounts/:id/resume'),
    },
    queues: {
      list: async (more: CallOptions = {}) => (await call('GET /queues', more)).queues,
      read: (queue: string, more: CallOptions = {}) =>
        call('GET /queues/:queue', { params: { queue }, ...more }),
      change: byQueue('PATCH /queues/:queue'),
      pause: byQueue('POST /queues/:queue/pause'),
      resume: (queue: string, body: Body<'POST /queues/:queue/resume'> = {}, more: CallOptions = {}) =>
        call('POST /queues/:queue/resume', { params: { queue }, body, ...more }),
      run: (queue: string, query?: Query<'POST /queues/:queue/run'>, more: CallOptions = {}) =>
        call('POST /queues/:queue/run', { params: { queue }, query, ...more }),
      ticks: (queue: string, query?: Query<'GET /queues/:queue/ticks'>, more: CallOptions = {}) =>
        pages(call, 'GET /queues/:queue/ticks', { params: { queue }, query, ...more }),
      errors: (queue: string, more: CallOptions = {}) =>
        pages(call, 'GET /queues/:queue/errors', { params: { queue }, ...more }),
    },
    monitors: {
      create: create<NewRow<'POST /monitors'>>('POST /monitors'),
      list: listOf('GET /monitors'),
      read: byId('GET /monitors/:id'),
      change: changeById('PATCH /monitors/:id'),
      delete: byId('DELETE /monitors/:id'),
    },
    sequences: {
      list: listOf('GET /sequences'),
      read: byId('GET /sequences/:id'),
      create: (body: Body<'POST /sequences'>, more: CallOptions = {}) =>
        call('POST /sequences', { body, ...more }),
      change: changeById('PATCH /sequences/:id'),
      preview: changeById('POST /sequences/:id/preview'),
      enrol: async (id: string, body: Body<'POST /sequences/:id/enrolments'>, more: CallOptions = {}) =>
        (await call('POST /sequences/:id/enrolments', { params: { id }, body, ...more })).rows,
    },
    enrolments: {
      list: listOf('GET /enrolments'),
      read: byId('GET /enrolments/:id'),
      pause: byId('POST /enrolments/:id/pause'),
      resume: byId('POST /enrolments/:id/resume'),
      stop: (id: string, body: Body<'POST /enrolments/:id/stop'> = {}, more: CallOptions = {}) =>
        call('POST /enrolments/:id/stop', { params: { id }, body, ...more }),
      reply: changeById('POST /enrolments/:id/reply'),
    },
  };
}

/** See `punctualClient`. */
export type PunctualClient<Known extends Jobs = Jobs> = ReturnType<typeof punctualClient<Known>>;

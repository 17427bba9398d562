import { expect } from 'vitest';
import { endpoints } from '../../lib/api/actions.ts';
import { runAction } from '../../lib/operate/rows/actions.ts';
import { startActionRoute, steerActionRoute } from '../../lib/operate/rows/actions-route.ts';
import { answered, apiRequest } from './api-server.ts';
import type { exchanges } from './exchanges.ts';
import type { TestDatabase } from './test-database.ts';

const { 'GET /actions/:id': READ, 'POST /actions/:id/stop': STOP } = endpoints;
/** The tests run the steps themselves, which the app's routes leave to `after`. */
const START = startActionRoute;
const CONTINUE = steerActionRoute('continue', '');

/** The parameters of a route of one action. */
export const of = (id: string) => ({ params: Promise.resolve({ id }) });

/** Calls the routes of actions on rows, and reads what they did. */
export function rowActions(database: TestDatabase, sql: ReturnType<typeof exchanges>) {
  const start = (body: object, queue = 'dm_queue') =>
    answered(
      START(apiRequest('POST', '/api/x', undefined, JSON.stringify(body)), {
        params: Promise.resolve({ queue }),
      }),
    );
  const read = (id: string) => answered(READ(apiRequest('GET', '/api/x'), of(id)));
  const steer = (route: typeof STOP) => (id: string, body?: object) =>
    answered(route(apiRequest('POST', '/api/x', undefined, body && JSON.stringify(body)), of(id)));
  return {
    start,
    read,
    stop: steer(STOP),
    resume: steer(CONTINUE),
    /** Starts an action and runs all of its steps. Returns it as it is then. */
    async act(body: object, queue = 'dm_queue') {
      const { status, body: action } = await start(body, queue);
      expect([status, action]).toMatchObject([202, { queue }]);
      await runAction(database.rpc, action.id, 60_000);
      return (await read(action.id)).body;
    },
    /** Adds a message that failed a minute ago, and returns its id. */
    addFailed: (account: string, more: object = {}) =>
      sql.addDm(account, {
        status: 'failed',
        attempts: 5,
        last_error: 'no such person',
        finished_at: sql.at(-60),
        ...more,
      }),
    row: async (id: string) => (await database.sql('select * from punctual.dm_queue where id = $1', [id]))[0],
    history: (id: string) =>
      database.sql('select event, text from punctual.history where row_id = $1 order by id', [id]) as Promise<
        { event: string; text: string }[]
      >,
  };
}

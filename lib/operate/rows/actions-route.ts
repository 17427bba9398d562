import { z } from 'zod';
import { type After, apiJsonRoute, apiRoute } from '../../http/api-route.ts';
import { parseInput } from '../../http/input/parse-input.ts';
import { listRoute } from '../../http/page.ts';
import { json } from '../../http/respond.ts';
import type { Services } from '../../services/services.ts';
import {
  actionsQuery,
  listActions,
  proofQuery,
  proveAction,
  readAction,
  runAction,
  startAction,
  steerAction,
} from './actions.ts';
import { readQueueName } from './rows-route.ts';

/** Steps of an action run for so long after the response. */
const runMs = 20_000;

/**
 * Returns the route that starts an action: `{ action, filter | ids, dry_run?, note?, key?, expect?, first?, due_at?, priority?, confirm? }`. 202 with the
 * action; 200 with `{ count, more, sample, left }` for a dry run, or if there is no row to change; 404; 409 if the key is another action’s or if other rows match than `expect`; 422.
 */
export function startActionRoute() {
  return apiJsonRoute<{ queue: string }>(
    async ({ services, params, by, body, after }) => {
      const started = await startAction(services.rpc, readQueueName(params.queue), body, by);
      if (!('id' in started)) return started;
      if (after) runLater(services, started.id, after);
      return json(202, started);
    },
    { whenInvalid: 'nothing was changed' },
  );
}

/** Returns the route that lists actions, the latest first: `?queue=`. */
export function listActionsRoute() {
  return listRoute({ name: 'actions', query: actionsQuery, list: listActions, dashboard: true });
}

/** Returns the route that reads one action and what became of its rows. 404. */
export function readActionRoute() {
  return apiRoute<{ id: string }>(({ services, params }) => readAction(services.rpc, params.id), {
    dashboard: true,
  });
}

/** Returns the route that says what the evidence shows of an action's rows: `?cursor=`. `{ rows, verdicts, next }`; 404. */
export function proveActionRoute() {
  return apiRoute<{ id: string }, typeof proofQuery>(
    ({ services, params, query }) => proveAction(services.rpc, params.id, query.cursor),
    { dashboard: true, query: proofQuery },
  );
}

/** Returns the route that stops or continues an action. 200 with the action; 404; 409 if it has ended; 422 for a body with fields. */
export function steerActionRoute(verb: 'stop' | 'continue') {
  return apiJsonRoute<{ id: string }>(
    async ({ services, params, by, body, after }) => {
      parseInput(z.strictObject({}), body);
      const action = await steerAction(services.rpc, params.id, verb, by);
      if (after && verb === 'continue') runLater(services, action.id, after);
      return action;
    },
    { optional: true, whenInvalid: 'nothing was changed' },
  );
}

/** Runs steps of an action after the response. The ticks of its queue run the rest. */
export function runLater({ rpc, log }: Services, id: string, after: After): void {
  after(async () => {
    try {
      await runAction(rpc, id, runMs);
    } catch (error) {
      log.warn({ error, action: id }, 'an action’s steps failed; the next tick of its queue continues it');
    }
  });
}

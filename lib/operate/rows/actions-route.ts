import { z } from 'zod';
import { type After, apiJsonRoute, apiRoute } from '../../http/api-route.ts';
import { parseInput } from '../../http/input/parse-input.ts';
import { listRoute } from '../../http/page.ts';
import { json } from '../../http/respond.ts';
import type { Services } from '../../services/services.ts';
import { noInput } from '../account-pace.ts';
import {
  actionDetails,
  actionInput,
  actionPreview,
  actionProof,
  actionSchema,
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

/** Starts an action. 202 with the action; 200 for a dry run, or if there is no row to change; 409 if the key is another action’s or if other rows match than `expect`. */
export const startActionRoute = apiJsonRoute({
  summary:
    'Retries, cancels, moves or deletes rows, one or all that match. Returns 202 with the action, or 200 with what it would do: for a `dry_run`, and if there is no row to change.',
  example: { action: 'retry', filter: { status: 'failed', text: 'timed out' }, dry_run: true },
  body: actionInput,
  response: z.union([actionSchema, actionPreview]),
  statuses: [202, 200],
  errors: [404, 409],
  whenInvalid: 'nothing was changed',
  async handle({ services, params, by, body, after }) {
    const started = await startAction(services.rpc, readQueueName(params.queue), body, by);
    if (!('id' in started)) return started;
    if (after) runLater(services, started.id, after);
    return json(202, started);
  },
});

export const listActionsRoute = listRoute({
  summary: 'Lists actions, the latest first.',
  name: 'actions',
  item: actionSchema,
  query: actionsQuery,
  list: listActions,
  dashboard: true,
});

export const readActionRoute = apiRoute({
  summary: 'Returns one action: its progress, and under `now` the states of its rows.',
  response: actionDetails,
  errors: [404],
  dashboard: true,
  handle: ({ services, params }) => readAction(services.rpc, params.id),
});

export const proveActionRoute = apiRoute({
  summary:
    'Says what the evidence shows of the messages that the action wrote, with the [verdicts](delivery.md#was-it-sent-once) of up to 500 of them.',
  response: actionProof,
  errors: [404],
  dashboard: true,
  query: proofQuery,
  handle: ({ services, params, query }) => proveAction(services.rpc, params.id, query.cursor),
});

/** Returns the route that stops or continues an action. 200 with the action; 404; 409 if it has ended; 422 for a body with fields. */
export function steerActionRoute(verb: 'stop' | 'continue', summary: string) {
  return apiJsonRoute({
    summary,
    body: noInput,
    bodyIsOptional: true,
    response: actionSchema,
    errors: [404, 409],
    whenInvalid: 'nothing was changed',
    async handle({ services, params, by, body, after }) {
      parseInput(noInput, body);
      const action = await steerAction(services.rpc, params.id, verb, by);
      if (after && verb === 'continue') runLater(services, action.id, after);
      return action;
    },
  });
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

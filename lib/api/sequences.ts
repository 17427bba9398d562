import { z } from 'zod';
import { apiJsonRoute, apiRoute } from '../http/api-route.ts';
import { bulkRoute } from '../http/bulk-route.ts';
import { listRoute } from '../http/page.ts';
import { yesOrNo } from '../http/query.ts';
import { json } from '../http/respond.ts';
import { enrolmentRoute } from '../queues/sequences/enrolment-route.ts';
import {
  enrolmentsQuery,
  listEnrolments,
  listReplies,
  readEnrolment,
  takeReply,
} from '../queues/sequences/enrolments.ts';
import { enrolPeople } from '../queues/sequences/new-enrolments.ts';
import {
  createSequence,
  editSequence,
  listSequences,
  previewSequence,
  readSequence,
} from '../queues/sequences/sequences.ts';
import type { Endpoints } from './endpoints.ts';

const query = z.strictObject({ again: yesOrNo.default(false) });

export const endpoints = {
  /**
   * Lists enrolments, the newest first: `?sequence=1&phase=failed&limit=50&cursor=…`. 200 with `{ enrolments, next }`;
   * 400 with `{ errors: [{ field, message }] }`.
   */
  'GET /enrolments': listRoute({
    name: 'enrolments',
    query: enrolmentsQuery,
    list: listEnrolments,
    dashboard: true,
  }),
  /** Returns the enrolment with its timeline. 404. */
  'GET /enrolments/:id': apiRoute<{ id: string }>(
    ({ services: { rpc }, params }) => readEnrolment(rpc, params.id),
    { dashboard: true },
  ),
  /** Pauses an enrolment: messages that are not being sent wait until it is resumed. 200 with the enrolment; 404; 409 if it is over. */
  'POST /enrolments/:id/pause': enrolmentRoute('pause'),
  /**
   * Records a person's reply: `{ body, message_id, said_at }`, or the `{ receipt_id }` of a reply that `/api/replies` lists. 200 with
   * `{ enrolment, applied }`; 404; 409 if the reply cannot be this person's; 422.
   */
  'POST /enrolments/:id/reply': apiJsonRoute<{ id: string }>(
    ({ services: { rpc }, params, body }) => takeReply(rpc, params.id, body),
    { whenInvalid: 'the reply was not recorded' },
  ),
  /** Resumes a paused enrolment, or a failed one with the step that failed. 200 with the enrolment; 404; 409 if it is over. */
  'POST /enrolments/:id/resume': enrolmentRoute('resume'),
  /** Stops an enrolment, with an optional `{ reason }`. 200 with the enrolment; 404; 409 if it has ended in another way. */
  'POST /enrolments/:id/stop': enrolmentRoute('stop'),
  /** Lists replies that are not matched to an enrolment, the latest first: `{ replies, next }`. 400 with `{ errors: [{ field, message }] }`. */
  'GET /replies': listRoute({ name: 'replies', list: listReplies }),
  /** Lists sequences with their funnels, the newest first: `{ sequences, next }`. 400. */
  'GET /sequences': listRoute({ name: 'sequences', list: listSequences, dashboard: true }),
  /** Creates a sequence. 201 with the sequence; 422 with `{ errors: [{ field, message }] }`. */
  'POST /sequences': apiJsonRoute(
    async ({ services: { rpc }, body, by }) => json(201, await createSequence(rpc, body, by)),
    { whenInvalid: 'nothing was created; correct these fields and send it again' },
  ),
  /** Returns the sequence with its funnel. 404. */
  'GET /sequences/:id': apiRoute<{ id: string }>(
    ({ services: { rpc }, params }) => readSequence(rpc, params.id),
    {
      dashboard: true,
    },
  ),
  /**
   * Changes the given fields of `{ name, time_zone, steps }`. New steps apply to people who are enrolled from now on. 200 with the sequence; 404; 422.
   */
  'PATCH /sequences/:id': apiJsonRoute<{ id: string }>(
    ({ services: { rpc }, params, body, by }) => editSequence(rpc, params.id, body, by),
    { whenInvalid: 'nothing was changed' },
  ),
  /** Enrols people: see `bulkRoute`. A row's `status` is its phase. `?again=true` enrols people again after an earlier enrolment is over. 404. */
  'POST /sequences/:id/enrolments': bulkRoute<{ id: string }, typeof query>(
    'nobody was enrolled',
    ({ services: { rpc }, params, query: { again }, body }) => enrolPeople(rpc, params.id, body, again),
    query,
  ),
  /**
   * Previews the steps that a person, `{ account_id, variables, time_zone, start_at }`, would get and when. Enrols nobody. 200 with `{ steps }`; 404;
   * 422.
   */
  'POST /sequences/:id/preview': apiJsonRoute<{ id: string }>(
    ({ services: { rpc }, params, body }) => previewSequence(rpc, params.id, body),
    { whenInvalid: 'this person cannot be enrolled' },
  ),
} satisfies Endpoints;

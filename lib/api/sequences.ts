import { z } from 'zod';
import { apiJsonRoute, apiRoute } from '../http/api-route.ts';
import { bulkRoute } from '../http/bulk-route.ts';
import { listRoute, pageOnly } from '../http/page.ts';
import { yesOrNo } from '../http/query.ts';
import { json } from '../http/respond.ts';
import { forgetPerson, forgotten, personInput } from '../operate/forget-person.ts';
import { enrolmentRoute } from '../queues/sequences/enrolment-route.ts';
import {
  enrolmentsQuery,
  listEnrolments,
  listReplies,
  readEnrolment,
  replyInput,
  takenReply,
  takeReply,
} from '../queues/sequences/enrolments.ts';
import { enrolPeople, reachablePerson } from '../queues/sequences/new-enrolments.ts';
import {
  createSequence,
  editSequence,
  listSequences,
  previewInput,
  previewSequence,
  readSequence,
  sequenceChanges,
  sequenceInput,
} from '../queues/sequences/sequences.ts';
import {
  enrolmentSchema,
  enrolmentWithTimeline,
  previewSchema,
  replySchema,
  sequenceSchema,
} from '../store/conversations.ts';
import type { Endpoints } from './endpoints.ts';

const query = z.strictObject({
  again: yesOrNo.default(false).describe('`true` enrols people again after an earlier enrolment is over.'),
});
/** The channel with the longest texts: the other one's are shorter. */
const longest = 'linkedin';

export const endpoints = {
  'GET /enrolments': listRoute({
    summary: 'Lists enrolments, the newest first.',
    name: 'enrolments',
    item: enrolmentSchema,
    query: enrolmentsQuery,
    list: listEnrolments,
    dashboard: true,
  }),
  'GET /enrolments/:id': apiRoute({
    summary: 'Returns the enrolment with its timeline.',
    response: enrolmentWithTimeline,
    errors: [404],
    dashboard: true,
    handle: ({ services: { rpc }, params }) => readEnrolment(rpc, params.id),
  }),
  'POST /enrolments/:id/pause': enrolmentRoute(
    'pause',
    'Pauses an enrolment: messages that are not being sent wait until it is resumed. 409 if it is over.',
  ),
  'POST /enrolments/:id/reply': apiJsonRoute({
    summary:
      'Records a person’s reply, or applies a reply that `/api/replies` lists. 409 if the reply cannot be this person’s.',
    body: replyInput,
    response: takenReply,
    errors: [404, 409],
    whenInvalid: 'the reply was not recorded',
    handle: ({ services: { rpc }, params, body }) => takeReply(rpc, params.id, body),
  }),
  'POST /enrolments/:id/resume': enrolmentRoute(
    'resume',
    'Resumes a paused enrolment, or a failed one with the step that failed. 409 if it is over.',
  ),
  'POST /enrolments/:id/stop': enrolmentRoute(
    'stop',
    'Stops an enrolment. 409 if it has ended in another way.',
  ),
  'GET /replies': listRoute({
    summary: 'Lists replies that are not matched to an enrolment, the latest first.',
    name: 'replies',
    item: replySchema,
    query: pageOnly,
    list: listReplies,
  }),
  'GET /sequences': listRoute({
    summary: 'Lists sequences with their funnels, the newest first.',
    name: 'sequences',
    item: sequenceSchema,
    query: pageOnly,
    list: listSequences,
    dashboard: true,
  }),
  'POST /sequences': apiJsonRoute({
    summary: 'Creates a [sequence](sequences.md).',
    body: sequenceInput(longest),
    response: sequenceSchema,
    statuses: [201],
    whenInvalid: 'nothing was created; correct these fields and send it again',
    handle: async ({ services: { rpc }, body, by }) => json(201, await createSequence(rpc, body, by)),
  }),
  'GET /sequences/:id': apiRoute({
    summary: 'Returns the sequence with its funnel.',
    response: sequenceSchema,
    errors: [404],
    dashboard: true,
    handle: ({ services: { rpc }, params }) => readSequence(rpc, params.id),
  }),
  'PATCH /sequences/:id': apiJsonRoute({
    summary: 'Changes the given fields. New steps apply to people who are enrolled from now on.',
    body: sequenceChanges(longest),
    response: sequenceSchema,
    errors: [404],
    whenInvalid: 'nothing was changed',
    handle: ({ services: { rpc }, params, body, by }) => editSequence(rpc, params.id, body, by),
  }),
  'POST /sequences/:id/enrolments': bulkRoute({
    summary: 'Enrols people. A row’s `status` is its phase.',
    example: { account_id: '…', recipient: '+15550100', variables: { first_name: 'Ada' } },
    query,
    row: reachablePerson,
    errors: [404],
    nothing: 'nobody was enrolled',
    create: ({ services: { rpc }, params, query: { again }, body }) =>
      enrolPeople(rpc, params.id, body, again),
  }),
  'POST /sequences/:id/preview': apiJsonRoute({
    summary: 'Previews the messages that a person would get, and about when. Enrols nobody.',
    body: previewInput,
    response: previewSchema,
    errors: [404],
    whenInvalid: 'this person cannot be enrolled',
    handle: ({ services: { rpc }, params, body }) => previewSequence(rpc, params.id, body),
  }),
  'POST /people/forget': apiJsonRoute({
    summary:
      '[Deletes a person’s data](sequences.md#forget-a-person). 409 while a message to them is being sent or may have been sent.',
    example: { recipient: '+15550100' },
    body: personInput,
    response: forgotten,
    errors: [404, 409],
    whenInvalid: 'nothing was deleted',
    handle: ({ services: { rpc }, by, body }) => forgetPerson(rpc, body, by),
  }),
} satisfies Endpoints;

import { apiJsonRoute } from '../../http/api-route.ts';
import { enrolmentWithTimeline } from '../../store/conversations.ts';
import { changeEnrolment, type EnrolmentAction, enrolmentInputs } from './enrolments.ts';

/** Makes the route that pauses, resumes or stops the enrolment in its path. */
export function enrolmentRoute<Action extends EnrolmentAction>(action: Action, summary: string) {
  return apiJsonRoute({
    summary,
    body: enrolmentInputs[action] as (typeof enrolmentInputs)[Action],
    bodyIsOptional: true,
    response: enrolmentWithTimeline,
    errors: [404, 409],
    whenInvalid: 'nothing was changed',
    handle: ({ services: { rpc }, params, by, body }) => changeEnrolment(rpc, action, params.id, body, by),
  });
}

import { apiJsonRoute } from '../../http/api-route.ts';
import { changeEnrolment, type EnrolmentAction } from './enrolments.ts';

/** Makes the route that pauses, resumes or stops the enrolment in its path. */
export function enrolmentRoute(action: EnrolmentAction) {
  return apiJsonRoute<{ id: string }>(
    ({ services: { rpc }, params, by, body }) => changeEnrolment(rpc, action, params.id, body, by),
    { optional: true, whenInvalid: 'nothing was changed' },
  );
}

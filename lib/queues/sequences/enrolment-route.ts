import { actors, apiJsonRoute } from '../../http/api-route';
import { changeEnrolment, type Doing } from './enrolments';

/** The route that does this to the enrolment that its path names. */
export function enrolmentRoute(doing: Doing) {
  return apiJsonRoute<{ id: string }>(
    ({ services: { rpc }, params, by, body }) => changeEnrolment(rpc, doing, params.id, body, actors[by]),
    { optional: true, whenInvalid: 'nothing was changed' },
  );
}

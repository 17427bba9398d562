import { apiJsonRoute } from '../../http/api-route';
import { refused } from '../../http/refused';
import { json } from '../../http/respond';
import { changeEnrolment, type Doing } from './enrolments';

/** The route that does this to the enrolment that its path names. */
export function enrolmentRoute(doing: Doing) {
  return apiJsonRoute<{ id: string }>(
    async ({ container: { rpc }, params, by, body }) => {
      const who = by === 'api-key' ? 'the API' : 'somebody at the dashboard';
      const changed = await changeEnrolment(rpc, doing, params.id, body, who);
      return 'enrolment' in changed
        ? json(200, changed.enrolment)
        : refused(changed, 422, 'nothing was changed');
    },
    { optional: true },
  );
}

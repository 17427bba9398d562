import { apiJsonRoute } from '@/lib/http/api-route';
import { refused } from '@/lib/http/refused';
import { json } from '@/lib/http/respond';
import { forgetPerson } from '@/lib/operate/forget-person';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/**
 * Deletes what is known of a person: `{ "recipient"?, "chat_id"?, "account_id"? }`, of all accounts without the last. 200 with `{ deleted }`,
 * rows by table; 409 as long as a message is being sent, or may have been; 404, 422.
 */
export const POST = apiJsonRoute(async ({ container: { rpc }, by, body }) => {
  const who = by === 'api-key' ? 'the API' : 'somebody at the dashboard';
  const forgotten = await forgetPerson(rpc, body, who);
  return 'deleted' in forgotten ? json(200, forgotten) : refused(forgotten, 422, 'nothing was deleted');
});

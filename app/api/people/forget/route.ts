import { actors, apiJsonRoute } from '@/lib/http/api-route';
import { forgetPerson } from '@/lib/operate/forget-person';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/**
 * Deletes what is known of a person: `{ "recipient"?, "chat_id"?, "account_id"? }`, of all accounts without the last. 200 with `{ deleted }`,
 * rows by table; 409 as long as a message is being sent, or may have been; 404, 422.
 */
export const POST = apiJsonRoute(({ services: { rpc }, by, body }) => forgetPerson(rpc, body, actors[by]), {
  whenInvalid: 'nothing was deleted',
});

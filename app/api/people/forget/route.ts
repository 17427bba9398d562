import { apiJsonRoute } from '@/lib/http/api-route.ts';
import { forgetPerson } from '@/lib/operate/forget-person.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/**
 * Deletes a person's data: `{ "recipient"?, "chat_id"?, "account_id"? }`, in all accounts without `account_id`. 200 with `{ deleted }`, the number of
 * rows by table; 404; 409 while a message is being sent or may have been sent; 422.
 */
export const POST = apiJsonRoute(({ services: { rpc }, by, body }) => forgetPerson(rpc, body, by), {
  whenInvalid: 'nothing was deleted',
});

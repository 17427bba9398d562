import { apiJsonRoute } from '../http/api-route.ts';
import { forgetPerson } from '../operate/forget-person.ts';
import type { Endpoints } from './endpoints.ts';

export const endpoints = {
  /**
   * Deletes a person's data: `{ "recipient"?, "chat_id"?, "account_id"? }`, in all accounts without `account_id`. 200 with `{ deleted }`, the number of
   * rows by table; 404; 409 while a message is being sent or may have been sent; 422.
   */
  'POST /people/forget': apiJsonRoute(({ services: { rpc }, by, body }) => forgetPerson(rpc, body, by), {
    whenInvalid: 'nothing was deleted',
  }),
} satisfies Endpoints;

import { z } from 'zod';
import { multipart } from '../../net/multipart';
import { unipileCodes } from './unipile-codes';
import { part, type UnipileVersion } from './unipile-version';

/** developer.unipile.com/reference. The account is a field of the form or of the query; that there is no cursor means that there is no more. */
export const unipileV1: UnipileVersion = {
  base: '/api/v1',
  isCopy: () => false,
  body: (fields, files) => multipart(fields as Record<string, string>, files),
  page: z
    .object({ items: z.array(z.unknown()), cursor: z.string().nullish() })
    .transform(({ items, cursor }) => ({ items, cursor: cursor || null, total: null })),
  nextPage: (read, cursor) => ({ ...read, query: { ...read.query, cursor } }),
  isLast: () => true,
  isErrorType: (type) => type.startsWith('errors/'),
  codes: unipileCodes,
  isAccountPath: () => true,

  sendMessage: ({ accountId, chatId, text }) => ({
    path: `/chats/${part(chatId)}/messages`,
    // Makes Unipile refuse a chat of another account.
    fields: { account_id: accountId, text },
  }),
  startChat: ({ accountId, recipient, text }) => ({
    path: '/chats',
    fields: { account_id: accountId, attendees_ids: recipient, text },
  }),
  createPost: ({ accountId, text }) => ({ path: '/posts', fields: { account_id: accountId, text } }),
  messages: ({ chatId, after }) => ({
    path: `/chats/${part(chatId)}/messages`,
    query: { after },
    pageSize: 100,
  }),
  chatsWith: ({ accountId, attendeeId }) => ({
    path: `/chat_attendees/${part(attendeeId)}/chats`,
    query: { account_id: accountId },
    pageSize: 100,
  }),
  post: ({ accountId, postId }) => ({ path: `/posts/${part(postId)}`, query: { account_id: accountId } }),
  self: ({ accountId }) => ({ path: '/users/me', query: { account_id: accountId } }),
  posts: ({ accountId, userId }) => ({
    path: `/users/${part(userId ?? 'me')}/posts`,
    query: { account_id: accountId },
    // A page is drawn from LinkedIn itself, and an item is long: several KB.
    pageSize: 20,
  }),
};

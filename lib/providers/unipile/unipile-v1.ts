import { z } from 'zod';
import { multipart } from '../../net/multipart.ts';
import { unipileCodes } from './unipile-codes.ts';
import { segment, type UnipileVersion } from './unipile-version.ts';

/** API v1. The account is a field of the form or the query. A page without a cursor is the last. Source: developer.unipile.com/reference. */
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
    path: `/chats/${segment(chatId)}/messages`,
    // With account_id Unipile refuses a chat of another account.
    fields: { account_id: accountId, text },
  }),
  startChat: ({ accountId, recipient, text }) => ({
    path: '/chats',
    fields: { account_id: accountId, attendees_ids: recipient, text },
  }),
  createPost: ({ accountId, text }) => ({ path: '/posts', fields: { account_id: accountId, text } }),
  messages: ({ chatId, after }) => ({
    path: `/chats/${segment(chatId)}/messages`,
    query: { after },
    pageSize: 100,
  }),
  chatsWith: ({ accountId, attendeeId }) => ({
    path: `/chat_attendees/${segment(attendeeId)}/chats`,
    query: { account_id: accountId },
    pageSize: 100,
  }),
  post: ({ accountId, postId }) => ({ path: `/posts/${segment(postId)}`, query: { account_id: accountId } }),
  self: ({ accountId }) => ({ path: '/users/me', query: { account_id: accountId } }),
  posts: ({ accountId, userId }) => ({
    path: `/users/${segment(userId ?? 'me')}/posts`,
    query: { account_id: accountId },
    // Unipile reads a page from LinkedIn, and an item has several KB.
    pageSize: 20,
  }),
};

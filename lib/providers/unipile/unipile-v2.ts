import { z } from 'zod';
import { unipileV2Codes } from './unipile-v2-codes.ts';
import { segment, type UnipileVersion } from './unipile-version.ts';

/*
 * Sources: developer.unipile.com/v2.0/docs/migration-messaging-api and /migration-social-api (paths, JSON, the account in the path),
 * /v2.0/docs/caching, /v2.0/reference/api-usage (pages), and Unipile's own Python SDK (github.com/unipile/unipile-python), which is
 * generated from the API's schema (parameters and shapes; an account's id matches ^acc_).
 *
 * These sources do not confirm the following:
 * - Whether a list without a cursor has ended. Some networks page by `offset`. So a full page is not the last, and neither is a page before
 *   `total_count` is reached.
 * - The name of a file's content: `content` in the schema, `data` in the guide. This code follows the schema.
 * - The value of the header X-Cache for a cached response. This code takes any value with "hit" in it for one.
 *
 * `@name` in the text of a post mentions the person with that name, if there is one.
 */

/**
 * API v2. The account is part of the path. Unipile caches reads for an hour. The header `cache-control: no-cache`, which fetch sends with each of
 * our calls, asks for a fresh response.
 */
export const unipileV2: UnipileVersion = {
  base: '/v2',
  isCopy: (headers) => /hit/i.test(headers.get('x-cache') ?? ''),
  body: (fields, files) => ({
    contentType: 'application/json',
    body: JSON.stringify({
      ...fields,
      ...(files.length > 0 && {
        attachments: files.map(({ fileName, contentType, bytes }) => ({
          filename: fileName,
          content_type: contentType,
          content: Buffer.from(bytes).toString('base64'),
        })),
      }),
    }),
  }),
  page: z
    .object({
      data: z.array(z.unknown()),
      next_cursor: z.string().nullish(),
      total_count: z.number().nullish().catch(null),
    })
    .transform(({ data, next_cursor, total_count }) => ({
      items: data,
      cursor: next_cursor || null,
      total: total_count ?? null,
    })),
  // The cursor includes the first page's query.
  nextPage: ({ path }, cursor) => ({ path, query: { cursor } }),
  isLast: ({ items, total }, { pageSize }, count) =>
    items.length < (pageSize ?? Number.POSITIVE_INFINITY) && (total ?? 0) <= count,
  isErrorType: (type) => /^(api|provider)\//.test(type),
  codes: unipileV2Codes,
  isAccountPath: (path) => path.startsWith('/acc_'),

  sendMessage: ({ accountId, chatId, text }) => ({
    path: `/${segment(accountId)}/chats/${segment(chatId)}/messages/send`,
    fields: { text },
  }),
  startChat: ({ accountId, recipient, text }) => ({
    path: `/${segment(accountId)}/chats/send`,
    fields: { users_ids: [recipient], text },
  }),
  createPost: ({ accountId, text }) => ({ path: `/${segment(accountId)}/posts`, fields: { text } }),
  messages: ({ accountId, chatId, after }) => ({
    path: `/${segment(accountId)}/chats/${segment(chatId)}/messages`,
    query: { after },
    pageSize: 100,
  }),
  chatsWith: ({ accountId, attendeeId }) => ({
    path: `/${segment(accountId)}/users/${segment(attendeeId)}/chat`,
  }),
  post: ({ accountId, postId }) => ({ path: `/${segment(accountId)}/posts/${segment(postId)}` }),
  self: () => null,
  posts: ({ accountId }) => ({ path: `/${segment(accountId)}/users/me/posts`, pageSize: 20 }),
};

import { z } from 'zod';
import { unipileV2Codes } from './unipile-v2-codes';
import { part, type UnipileVersion } from './unipile-version';

/*
 * Sources: developer.unipile.com/v2.0/docs/migration-messaging-api and /migration-social-api (paths, JSON, the account in the path),
 * /v2.0/docs/caching, /v2.0/reference/api-usage (pages), and Unipile's own Python SDK (github.com/unipile/unipile-python), which is
 * generated from the API's schema (parameters and shapes; an account's id matches ^acc_).
 * Not confirmed there, and read with care:
 * - Whether a list that gives no cursor has ended: some networks page by `offset`. A full page, and one that is short of
 *   `total_count`, has not.
 * - What a file's content is called: `content` in the schema, `data` in the guide. The schema is followed.
 * - What the header X-Cache says of a copy. Whatever has "hit" in it is taken for one.
 * `@name` in the text of a post mentions that person, if there is one.
 */

/**
 * The account is part of the path. Unipile's cache keeps what is read for an hour; `cache-control: no-cache`, which fetch sends with each
 * of our calls, asks it not to.
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
  // It bears the query that it began with.
  nextPage: ({ path }, cursor) => ({ path, query: { cursor } }),
  isLast: ({ items, total }, { pageSize }, count) =>
    items.length < (pageSize ?? Number.POSITIVE_INFINITY) && (total ?? 0) <= count,
  isErrorType: (type) => /^(api|provider)\//.test(type),
  codes: unipileV2Codes,
  isAccountPath: (path) => path.startsWith('/acc_'),

  sendMessage: ({ accountId, chatId, text }) => ({
    path: `/${part(accountId)}/chats/${part(chatId)}/messages/send`,
    fields: { text },
  }),
  startChat: ({ accountId, recipient, text }) => ({
    path: `/${part(accountId)}/chats/send`,
    fields: { users_ids: [recipient], text },
  }),
  createPost: ({ accountId, text }) => ({ path: `/${part(accountId)}/posts`, fields: { text } }),
  messages: ({ accountId, chatId, after }) => ({
    path: `/${part(accountId)}/chats/${part(chatId)}/messages`,
    query: { after },
    pageSize: 100,
  }),
  chatsWith: ({ accountId, attendeeId }) => ({ path: `/${part(accountId)}/users/${part(attendeeId)}/chat` }),
  post: ({ accountId, postId }) => ({ path: `/${part(accountId)}/posts/${part(postId)}` }),
  self: () => null,
  posts: ({ accountId }) => ({ path: `/${part(accountId)}/users/me/posts`, pageSize: 20 }),
};

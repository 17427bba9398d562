import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Rpc } from '../store/rpc.ts';
import { apiRoute, type PathParams } from './api-route.ts';
import type { EndpointText } from './describe-endpoint.ts';
import { invalidQuery, type QuerySchema, wholeNumber } from './query.ts';

/** The values of a page's last item in the columns that sort its list. */
const keyValue = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const key = z.array(keyValue).min(1).max(4);
type Key = z.infer<typeof key>;
/** A digest of the list and the key, and the key of the page's last item. */
const cursor = z
  .tuple([z.string()], keyValue)
  .transform(([digest, ...key]) => ({ digest, key }))
  .pipe(z.object({ digest: z.string(), key }));

const invalidCursor =
  'is not a cursor of this list: send the "next" of the previous page unchanged and with the same filters, or leave it out';

/** The query of every list. */
export const pageQuery = {
  limit: wholeNumber(1, 200, 'must be a whole number from 1 to 200')
    .default(50)
    .describe('1 to 200; default 50.'),
  cursor: z
    .string()
    .max(2_000)
    .transform((text, context) => {
      const read = cursor.safeParse(parse(Buffer.from(text, 'base64url').toString()));
      if (read.success) return read.data;
      context.addIssue({ code: 'custom', message: invalidCursor });
      return z.NEVER;
    })
    .optional()
    .describe('The `next` of the previous page.'),
};

/** The query of a list without filters. */
export const pageOnly = z.strictObject(pageQuery);

export interface PageQuery {
  limit: number;
  cursor?: z.infer<typeof cursor>;
}

export interface Page<Item> {
  items: Item[];
  /** The `cursor` of the next page; null on the last page. */
  next: string | null;
}

/** Reads one page of a list from the SQL function `fn`, which returns it by `page_of`. Throws a `ValidationError` or a `StoreError`. */
export async function readPage<Item>(
  rpc: Rpc,
  fn: string,
  item: z.ZodType<Item>,
  { limit, cursor }: PageQuery,
  params: object = {},
): Promise<Page<Item>> {
  const list = [fn, params];
  const response = await rpc(fn, { ...params, p_limit: limit, p_cursor: openCursor(list, cursor) });
  const { items, next } = z.object({ items: z.array(item), next: key.nullable() }).parse(response);
  return { items, next: next && makeCursor(list, next) };
}

/** Returns the key of a cursor of the list; null without a cursor. Throws a `ValidationError` for any other cursor. */
export function openCursor(list: unknown[], cursor: PageQuery['cursor']): Key | null {
  // The keys of two lists may have the same form, for example those of rows in two states.
  if (cursor && cursor.digest !== digestOf(list, cursor.key))
    throw invalidQuery([{ field: 'cursor', message: invalidCursor }]);
  return cursor?.key ?? null;
}

/** Returns the cursor of the items after the key. `list`: what tells the list from any other. */
export function makeCursor(list: unknown[], key: Key): string {
  return Buffer.from(JSON.stringify([digestOf(list, key), ...key])).toString('base64url');
}

function digestOf(list: unknown[], key: Key): string {
  return createHash('sha256')
    .update(JSON.stringify([list, key]))
    .digest('base64url')
    .slice(0, 8);
}

interface ListRoute<Name extends string, Item extends z.ZodType, Query extends QuerySchema>
  extends Omit<EndpointText<z.ZodType, Query>, 'response' | 'query'> {
  query: Query;
  /** The key of the items in the response. */
  name: Name;
  item: Item;
  list: (rpc: Rpc, query: z.output<Query>, params: PathParams) => Promise<Page<z.output<Item>>>;
  dashboard?: boolean;
}

/** The response of a list: `{ [name]: items, next }`. */
export type ListAnswer<Name extends string, Item extends z.ZodType> = z.ZodObject<
  Record<Name, z.ZodArray<Item>> & { next: z.ZodNullable<z.ZodString> }
>;

/** Returns the schema of a list's response. */
export function listAnswer<Name extends string, Item extends z.ZodType>(name: Name, item: Item) {
  const next = z.string().nullable().describe('The `cursor` of the next page; null at the end.');
  return z.object({ [name]: z.array(item), next }) as unknown as ListAnswer<Name, Item>;
}

/** Returns the route of a list. It responds 200 with `{ [name]: items, next }`, or 400 for an invalid query. */
export function listRoute<Name extends string, Item extends z.ZodType, Query extends QuerySchema>({
  name,
  item,
  list,
  query,
  ...text
}: ListRoute<Name, Item, Query>) {
  return apiRoute<ListAnswer<Name, Item>, Query>({
    ...text,
    query,
    response: listAnswer(name, item),
    async handle({ services: { rpc }, ...call }) {
      const { items, next } = await list(rpc, call.query, call.params);
      return { [name]: items, next } as z.output<ListAnswer<Name, Item>>;
    },
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

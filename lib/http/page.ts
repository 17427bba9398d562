import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Rpc } from '../store/rpc';
import { type ApiCall, apiRoute } from './api-route';
import { type QuerySchema, wholeNumber, wrongQuery } from './query';

/** Of the last item of a page: what its list is in the order of. */
const key = z
  .array(z.union([z.string(), z.number(), z.boolean(), z.null()]))
  .min(1)
  .max(4);
/** The list that it is of, and its key there. */
const cursor = z.tuple([z.string()], key.element).transform(([list, ...key]) => ({ list, key }));

const noCursor =
  'is no cursor of this list: send the "next" of its last answer as it was, with the same filters, or leave it out';
/** What the database says of a text that is not of a key's type. */
const notOfType = new Set(['22P02', '22P05', '22003', '22007', '22008']);

/** What every list takes: `limit`, 1 to 200 (50), and `cursor`, the `next` of the page before. */
export const pageQuery = {
  limit: wholeNumber(1, 200, 'is no number from 1 to 200').default(50),
  cursor: z
    .string()
    .max(2_000)
    .transform((text, context) => {
      const read = cursor.safeParse(parse(Buffer.from(text, 'base64url').toString()));
      if (read.success) return read.data;
      context.addIssue({ code: 'custom', message: noCursor });
      return z.NEVER;
    })
    .optional(),
};

const pageOnly = z.strictObject(pageQuery);

export interface PageQuery {
  limit: number;
  cursor?: z.infer<typeof cursor>;
}

export interface Page<Item> {
  items: Item[];
  /** The `cursor` of the page after; null at the end. */
  next: string | null;
}

/** A page of the list that the SQL function `fn` answers as `page_of` has it. Throws a `ValidationError` or a `StoreError`. */
export async function readPage<Item>(
  rpc: Rpc,
  fn: string,
  item: z.ZodType<Item>,
  { limit, cursor }: PageQuery,
  params: object = {},
): Promise<Page<Item>> {
  const list = createHash('sha256')
    .update(JSON.stringify([fn, params]))
    .digest('base64url')
    .slice(0, 8);
  // The keys of two lists may have the same form: those of another state's rows, say.
  if (cursor && cursor.list !== list) throw wrongQuery([{ field: 'cursor', message: noCursor }]);
  try {
    const answer = await rpc(fn, { ...params, p_limit: limit, p_cursor: cursor?.key ?? null });
    const { items, next } = z.object({ items: z.array(item), next: key.nullable() }).parse(answer);
    return { items, next: next && Buffer.from(JSON.stringify([list, ...next])).toString('base64url') };
  } catch (error) {
    // Whoever sends it may have made it up.
    const { code } = error as { code?: string };
    if (cursor && notOfType.has(code ?? '')) throw wrongQuery([{ field: 'cursor', message: noCursor }]);
    throw error;
  }
}

interface ListRoute<Params, Schema> {
  /** What the items are called in the answer. */
  name: string;
  /** `limit` and `cursor` unless given. */
  query?: Schema;
  list: (rpc: Rpc, query: z.output<Schema>, params: Params) => Promise<Page<unknown>>;
  dashboard?: boolean;
}

/** The route of a list: 200 with `{ [name]: items, next }`, 400 for a query that it does not take. */
export function listRoute<Params = object, Schema extends QuerySchema = typeof pageOnly>({
  name,
  query,
  list,
  dashboard,
}: ListRoute<Params, Schema>) {
  const handle = async ({ services: { rpc }, ...call }: ApiCall<Params, z.output<Schema>>) => {
    const { items, next } = await list(rpc, call.query, call.params);
    return { [name]: items, next };
  };
  return apiRoute<Params, Schema>(handle, { dashboard, query: query ?? (pageOnly as unknown as Schema) });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

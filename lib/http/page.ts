import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Rpc } from '../store/rpc';
import { refused } from './refused';
import { json } from './respond';
import type { RowRefusal } from './row-refusal';

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
  limit: z
    .string()
    .regex(/^\d{1,3}$/, 'is no number from 1 to 200')
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= 200, 'is no number from 1 to 200')
    .default(50),
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

export interface PageQuery {
  limit: number;
  cursor?: z.infer<typeof cursor>;
}

export interface Page<Item> {
  items: Item[];
  /** The `cursor` of the page after; null at the end. */
  next: string | null;
}

/** A page of the list that the SQL function `fn` answers as `page_of` has it. Throws a `StoreError`. */
export async function readPage<Item>(
  rpc: Rpc,
  fn: string,
  item: z.ZodType<Item>,
  { limit, cursor }: PageQuery,
  params: object = {},
): Promise<Page<Item> | RowRefusal> {
  const list = createHash('sha256')
    .update(JSON.stringify([fn, params]))
    .digest('base64url')
    .slice(0, 8);
  // The keys of two lists may have the same form: those of another state's rows, say.
  if (cursor && cursor.list !== list) return { errors: [{ field: 'cursor', message: noCursor }] };
  try {
    const answer = await rpc(fn, { ...params, p_limit: limit, p_cursor: cursor?.key ?? null });
    const { items, next } = z.object({ items: z.array(item), next: key.nullable() }).parse(answer);
    return { items, next: next && Buffer.from(JSON.stringify([list, ...next])).toString('base64url') };
  } catch (error) {
    // Whoever sends it may have made it up.
    const { code } = error as { code?: string };
    if (cursor && notOfType.has(code ?? '')) return { errors: [{ field: 'cursor', message: noCursor }] };
    throw error;
  }
}

/** 200 with `{ [name]: items, next }`, or why not. */
export function answerPage(name: string, page: Page<unknown> | RowRefusal): Response {
  return 'items' in page
    ? json(200, { [name]: page.items, next: page.next })
    : refused(page, 400, 'the query (what follows the ?) cannot be');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

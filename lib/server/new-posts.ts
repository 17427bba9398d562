import { z } from 'zod';
import { type AddressGuard, addressGuard } from '../providers/public-address';
import type { Rpc } from '../store/rpc';
import { instant } from './instant';
import { postBody, postMedia, postPriority } from './post-fields';
import { storableText } from './storable-text';

const newPost = (guard: AddressGuard) =>
  z.strictObject({
    account_id: z.guid(),
    body: postBody,
    media_urls: postMedia(guard).optional(),
    /** Now, if not given. */
    scheduled_for: instant.optional(),
    priority: postPriority.optional(),
    /** Not published after this. */
    expires_at: instant.optional(),
    idempotency_key: storableText(200).min(1, 'is empty').optional(),
  });

export interface FieldError {
  /** Which of the posts, from 0; null where the whole is not as it should be. */
  index: number | null;
  field: string;
  message: string;
}

export interface EnqueuedPost {
  id: string;
  status: string;
  /** False: the idempotency key was there already, and this is the row that bears it. */
  created: boolean;
}

const maxPosts = 1_000;

const answer = z.union([
  z.object({ rows: z.array(z.object({ id: z.string(), status: z.string(), created: z.boolean() })) }),
  z.object({ errors: z.array(z.object({ index: z.number(), field: z.string(), message: z.string() })) }),
]);

/** Checks one post or up to 1,000, and takes in all of them or none. `allowPrivate`: see `addressGuard`. Throws a `StoreError`. */
export async function enqueuePosts(
  rpc: Rpc,
  allowPrivate: string[],
  body: unknown,
): Promise<{ rows: EnqueuedPost[] } | { errors: FieldError[] }> {
  const asked: unknown[] = Array.isArray(body) ? body : [body];
  if (asked.length === 0 || asked.length > maxPosts) {
    const message = `send one post, or an array of 1 to ${maxPosts}; this has ${asked.length}`;
    return { errors: [{ index: null, field: '', message }] };
  }
  const schema = newPost(addressGuard(allowPrivate));
  const rows: object[] = [];
  const errors: FieldError[] = [];
  for (const [index, post] of asked.entries()) {
    const parsed = schema.safeParse(post);
    if (parsed.success) rows.push(parsed.data);
    else
      errors.push(
        ...parsed.error.issues.map((issue) => ({ index, field: fieldOf(issue), message: issue.message })),
      );
  }
  if (errors.length > 0) return { errors };
  try {
    return answer.parse(await rpc('enqueue_posts', { p_rows: rows }));
  } catch (error) {
    if ((error as { code?: string }).code !== 'PT409') throw error;
    // Two calls at once: the other was first, and its post is another one.
    const message = 'another call has just used one of the keys for another post';
    return { errors: [{ index: null, field: 'idempotency_key', message }] };
  }
}

export function fieldOf(issue: z.core.$ZodIssue): string {
  return issue.code === 'unrecognized_keys' ? issue.keys.join(', ') : issue.path.join('.');
}

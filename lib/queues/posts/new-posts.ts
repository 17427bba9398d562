import { z } from 'zod';
import { checkBy, type InsertedRow, insertMany } from '../../http/input/insert-many.ts';
import { instant } from '../../http/input/instant.ts';
import { priority } from '../../http/input/priority.ts';
import { nonEmptyText } from '../../http/input/storable-text.ts';
import type { Rpc } from '../../store/rpc.ts';
import { postBody, postMedia, type UrlGuard } from './post-fields.ts';

export const postInput = (guard: UrlGuard) =>
  z.strictObject({
    account_id: z.guid().describe('From `/api/accounts`.'),
    body: postBody.describe('Up to 3,000 characters.'),
    media_urls: postMedia(guard).optional().describe('Public addresses of pictures and videos, 20 at most.'),
    scheduled_for: instant.optional().describe('When it is due; default now.'),
    priority: priority.optional(),
    expires_at: instant.optional().describe('The post is not published after this.'),
    idempotency_key: nonEmptyText(200).optional().describe('See [idempotency keys](#idempotency-keys).'),
  });

/** Checks one post or a list of up to 1,000, and inserts all of them or none. Throws a `ValidationError` or a `StoreError`. */
export function insertPosts(rpc: Rpc, guard: UrlGuard, body: unknown): Promise<{ rows: InsertedRow[] }> {
  return insertMany('post', body, checkBy(postInput(guard)), (rows) =>
    rpc('enqueue_posts', { p_rows: rows }),
  );
}

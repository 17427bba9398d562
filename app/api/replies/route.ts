import { listRoute } from '@/lib/http/page';
import { listReplies } from '@/lib/queues/sequences/enrolments';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** `{ replies, next }` that are nobody's as far as is known, the latest first. 400 with `{ errors: [{ field, message }] }`. */
export const GET = listRoute({ name: 'replies', list: listReplies });

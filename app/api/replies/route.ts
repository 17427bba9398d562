import { listRoute } from '@/lib/http/page.ts';
import { listReplies } from '@/lib/queues/sequences/enrolments.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Lists replies that are not matched to an enrolment, the latest first: `{ replies, next }`. 400 with `{ errors: [{ field, message }] }`. */
export const GET = listRoute({ name: 'replies', list: listReplies });

import { z } from 'zod';
import { bulkRoute } from '@/lib/http/bulk-route.ts';
import { yesOrNo } from '@/lib/http/query.ts';
import { enrolPeople } from '@/lib/queues/sequences/new-enrolments.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

const query = z.strictObject({ again: yesOrNo.default(false) });

/** Enrols people: see `bulkRoute`. A row's `status` is its phase. `?again=true` enrols people again after an earlier enrolment is over. 404. */
export const POST = bulkRoute<{ id: string }, typeof query>(
  'nobody was enrolled',
  ({ services: { rpc }, params, query: { again }, body }) => enrolPeople(rpc, params.id, body, again),
  query,
);

import { z } from 'zod';
import { apiJsonRoute } from '@/lib/http/api-route';
import { refused } from '@/lib/http/refused';
import { json, problem } from '@/lib/http/respond';
import { enrolPeople } from '@/lib/queues/sequences/new-enrolments';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

const query = z.strictObject({ again: z.enum(['true', 'false']).default('false') });

/**
 * Enrols one person or up to 1,000, all or none. 201 with `{ rows: [{ id, status, created }] }`, `status` being the phase; 200 where everybody
 * was in the sequence already. `?again=true`: those anew whose enrolment is over. 404; 422 with `{ errors: [{ index, field, message }] }`.
 */
export const POST = apiJsonRoute<{ id: string }, typeof query>(
  async ({ container: { rpc }, params, query: { again }, body }) => {
    const taken = await enrolPeople(rpc, params.id, body, again === 'true');
    if ('missing' in taken || 'conflict' in taken) return refused(taken);
    if ('errors' in taken) {
      return problem(422, 'invalid', 'nobody was enrolled; mend these and send all of it again', {
        errors: taken.errors,
      });
    }
    return json(taken.rows.some((row) => row.created) ? 201 : 200, taken);
  },
  { query },
);

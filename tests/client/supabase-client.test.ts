import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { supabaseClient } from '../../lib/client/punctual-client.ts';
import { defineJob } from '../../lib/jobs/define-job.ts';
import type { SupabaseLike } from '../../lib/store/supabase-rpc.ts';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
let account: string;
beforeEach(async () => {
  account = await sql.addAccount({ name: 'Ada' });
});

/** The form of supabase-js, over the test's database. */
const supabase: SupabaseLike = {
  schema: (name) => ({
    rpc: (fn, args) => ({
      abortSignal: () => {
        expect(name).toBe('punctual');
        return database.rpc(fn, args as Record<string, unknown>).then(
          (data) => ({ data, error: null, status: 200 }),
          ({ message, code }) => ({
            data: null,
            error: { message, code, details: '', hint: '' },
            status: 400,
          }),
        );
      },
    }),
  }),
};
const client = supabaseClient(supabase);
const dm = (more: object = {}) => ({
  account_id: account,
  channel: 'linkedin' as const,
  chat_id: 'c',
  body: 'hi',
  ...more,
});

describe('the client over Supabase', () => {
  it('creates messages, posts and jobs, each key once', async () => {
    expect(await client.dms.enqueue(dm({ idempotency_key: 'k' }))).toMatchObject({ id: '1', created: true });
    expect(await client.dms.enqueue([dm({ idempotency_key: 'k' })])).toMatchObject([
      { id: '1', created: false },
    ]);
    expect(await client.posts.create({ account_id: account, body: 'b' })).toMatchObject({
      status: 'scheduled',
    });
    const job = { name: 'any', payload: { at: new Date(0) }, run_at: '2099-01-01T00:00:00Z' };
    expect(await client.jobs.create(job)).toMatchObject({ status: 'pending' });
    const [row] = await database.sql('select payload from punctual.jobs');
    expect(row.payload).toEqual({ at: '1970-01-01T00:00:00.000Z' });
  });

  it('refuses what the API refuses, with the same fields, and creates nothing', async () => {
    const refused = (errors: object[]) => ({ name: 'PunctualError', status: 422, kind: 'invalid', errors });
    await expect(client.dms.enqueue([dm(), dm({ priority: 9 })])).rejects.toMatchObject(
      refused([{ index: 1, field: 'priority' }]),
    );
    for (const url of ['ftp://x.test/a', 'https://u:p@x.test/a', 'x'])
      await expect(
        client.posts.create({ account_id: account, body: 'b', media_urls: [url] }),
      ).rejects.toMatchObject(refused([{ field: 'media_urls.0' }]));
    await expect(client.jobs.create({ name: 'any', queue: 'Failed!' })).rejects.toMatchObject(
      refused([{ field: 'queue' }]),
    );
    const unknown = '00000000-0000-4000-8000-000000000000';
    await expect(client.dms.enqueue(dm({ account_id: unknown }))).rejects.toMatchObject(
      refused([{ field: 'account_id' }]),
    );
    expect(await database.sql('select count(*) from punctual.dm_queue')).toEqual([{ count: 0 }]);
  });

  it('checks a job by its handler if it knows the handlers', async () => {
    const jobs = { greet: defineJob({ payload: z.object({ name: z.string() }), run: async () => null }) };
    const own = supabaseClient(supabase, { jobs });
    expect(await own.jobs.create({ name: 'greet', payload: { name: 'Ann' } })).toMatchObject({
      created: true,
    });
    const wrong = { name: 'greet', payload: { name: 7 } } as never;
    await expect(own.jobs.create(wrong)).rejects.toMatchObject({ errors: [{ field: 'payload.name' }] });
  });

  it('says that the database did not respond', async () => {
    const error = { message: 'fetch failed', code: '', details: 'Caused by: Error: gone', hint: '' };
    const gone: SupabaseLike = {
      schema: () => ({ rpc: () => ({ abortSignal: async () => ({ data: null, error, status: 0 }) }) }),
    };
    await expect(supabaseClient(gone).dms.enqueue(dm())).rejects.toMatchObject({
      ...{ name: 'PunctualError', status: 503, kind: 'database_unavailable' },
      message: 'the Data API did not answer: gone',
    });
  });
});

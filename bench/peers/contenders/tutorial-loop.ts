import { createClient } from '@supabase/supabase-js';
import { Client } from 'pg';
import type { Contender, Servers } from './contender.ts';

/** The cron route of many tutorials: selects 50 due rows, and performs and updates one after the other. */
export async function tutorialLoop({
  databaseUrl,
  supabaseUrl,
  serviceRoleKey,
}: Servers): Promise<Contender> {
  const database = new Client({ connectionString: databaseUrl });
  await database.connect();
  await database.query(`create table punctual.tutorial (id bigint generated always as identity primary key, run_at timestamptz not null default now(),
    status text not null default 'pending', payload jsonb not null)`);
  await database.query(
    `create index on punctual.tutorial (status, run_at); grant all on punctual.tutorial to service_role; notify pgrst, 'reload schema'`,
  );
  const rows = createClient(supabaseUrl, serviceRoleKey, {
    db: { schema: 'punctual' },
    auth: { persistSession: false },
    realtime: { transport: class {} as never },
  });
  return {
    name: 'tutorial loop',
    guarantees: 'none: overlapping runs perform a row twice',
    async enqueue(count) {
      await database.query(
        `insert into punctual.tutorial (payload) select jsonb_build_object('n', n) from generate_series(1, $1::integer) n`,
        [count],
      );
    },
    async drain(_count, handler) {
      for (;;) {
        const { data, error } = await rows
          .from('tutorial')
          .select('*')
          .eq('status', 'pending')
          .lte('run_at', new Date().toISOString())
          .order('run_at')
          .limit(50);
        if (error) throw new Error(error.message);
        if (data.length === 0) return;
        for (const { id } of data) {
          await handler();
          await rows.from('tutorial').update({ status: 'done' }).eq('id', id);
        }
      }
    },
    close: () => database.end(),
  };
}

import { addDueDms, median } from '../../due-dms.ts';
import { exchangesOf } from '../../exchange-call.ts';
import { createDatabase } from '../databases.ts';
import type { Contender, Servers } from './contender.ts';

export interface ClaimSetting {
  name: string;
  due: number;
  settled: number;
  /** The accounts of `dm_queue`, each with hours, limits, a gap and a ramp. Null for a plain queue. */
  accounts: number | null;
}

const want = 100;

/** Claims of 100 rows, over one connection like those of the Data API. */
export async function punctualClaims(servers: Servers, setting: ClaimSetting): Promise<Contender> {
  const { due, settled, accounts } = setting;
  const { client, drop } = await createDatabase(servers);
  if (accounts !== null) await addDueDms(client, { rows: due, settled, accounts, paced: true });
  else {
    await client.query(
      'create schema app; create table app.items (id bigint primary key, due timestamptz not null)',
    );
    await client.query(`select punctual.add_queue('items', 'app.items', 'due', 'at-least-once')`);
    await client.query(`update punctual.queues set batch_limit = null where name = 'items'`);
    await client.query(
      `insert into app.items (id, due, status, finished_at)
       select n, now() - make_interval(secs => n / 10.0), case when n > $1::integer then 'done' else 'pending' end, case when n > $1::integer then now() end
         from generate_series(1, $1::integer + $2::integer) n`,
      [due, settled],
    );
    await client.query('vacuum (analyze) app.items');
  }
  const queue = accounts === null ? 'items' : 'dm_queue';
  // An account sends one row at a time, and waits for its gap after it.
  const claims = accounts === null ? 10 : Math.max(1, Math.min(10, Math.floor(accounts / want)));
  const claimAndSettle = async () => {
    const tick = {
      id: crypto.randomUUID(),
      queue,
      partition: 'main',
      limit_seconds: 60,
      providers: ['unipile'],
    };
    const exchange = exchangesOf(client, tick);
    const { rows, claimId, ms } = await exchange({}, want, false);
    if (rows.length === 0) throw new Error(`${setting.name}: no row could be claimed`);
    const records = rows.map(({ id }) => ({ id, claim_id: claimId, outcome: 'done' }));
    await exchange({ records }, 0, true);
    return ms;
  };
  return {
    name: setting.name,
    guarantees:
      accounts === null ? 'at least once' : 'at most once, with the limits, gap and hours of each account',
    enqueue: () => Promise.reject(new Error('this contender has its rows')),
    drain: () => Promise.reject(new Error('this contender measures claims only')),
    async claimMs() {
      const times: number[] = [];
      for (let n = 0; n < claims; n++) times.push(await claimAndSettle());
      return median(times);
    },
    close: drop,
  };
}

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { openEmbeddedDatabase } from '../../../lib/store/embedded/embedded-database.ts';
import { postgresRpc } from '../../../lib/store/postgres-rpc.ts';
import { supabaseRpc } from '../../../lib/store/supabase-rpc.ts';
import { barePLimit } from './bare-p-limit.ts';
import { bullmq } from './bullmq.ts';
import type { Contender, Servers } from './contender.ts';
import { type GraphileSetting, graphileWorker } from './graphile-worker.ts';
import { pgBoss } from './pg-boss.ts';
import { type PunctualSetting, punctual } from './punctual.ts';
import { punctualApi } from './punctual-api.ts';
import { type ClaimSetting, punctualClaims } from './punctual-claims.ts';
import { type DmSetting, punctualDms } from './punctual-dms.ts';
import { type IdleSetting, punctualIdle } from './punctual-idle.ts';
import { punctualWorker } from './punctual-worker.ts';
import { tutorialLoop } from './tutorial-loop.ts';

/** Makes a contender when it is first needed. Names are unique. */
export interface Entry {
  name: string;
  make(): Promise<Contender>;
}

export interface Entries {
  /** Punctual over PostgREST, over a direct connection, or in the embedded database. */
  punctual(over: 'rest' | 'direct' | 'pglite', setting: PunctualSetting): Entry;
  /** Punctual's bulk calls over PostgREST. */
  punctualApi(of: 'jobs' | 'messages', name: string): Entry;
  /** Punctual's worker, a process of its own. */
  punctualWorker(over: 'rest' | 'direct', name: string): Entry;
  /** Ticks of Punctual without a due row, over PostgREST, with an overlap lock. */
  punctualIdle(setting: IdleSetting): Entry;
  /** Claims of Punctual beside many rows, on a database of its own. */
  punctualClaims(setting: ClaimSetting): Entry;
  /** The queue `dm_queue` with many accounts, on a database of its own. */
  punctualDms(setting: DmSetting): Entry;
  graphileWorker(name: string, setting: GraphileSetting): Entry;
  pgBoss(name: string, batch: number, lanes: number): Entry;
  bullmq(name: string, concurrency: number): Entry;
  tutorialLoop(): Entry;
  barePLimit(concurrency: number): Entry;
  close(): Promise<void>;
}

export async function entriesOn(servers: Servers): Promise<Entries> {
  const owner = new Client({ connectionString: servers.databaseUrl });
  await owner.connect();
  const sql = (text: string, params?: unknown[]) => owner.query(text, params);
  const direct = postgresRpc({ url: servers.databaseUrl });
  const rest = supabaseRpc({
    url: servers.postgrestUrl,
    serviceRoleKey: servers.serviceRoleKey,
    fetch: (address, init) => fetch(String(address).replace('/rest/v1/', '/'), init),
  });
  const keep = async () => {};
  return {
    punctual: (over, setting) => ({
      name: setting.name,
      async make() {
        if (over === 'rest') return punctual(rest, sql, setting, keep);
        if (over === 'direct') return punctual(direct.rpc, sql, setting, keep);
        const directory = mkdtempSync(path.join(tmpdir(), 'punctual-bench-'));
        const embedded = await openEmbeddedDatabase(directory);
        return punctual(
          embedded.rpc,
          (text) => embedded.sql(text, 60_000),
          setting,
          async () => {
            await embedded.close();
            rmSync(directory, { recursive: true, force: true });
          },
        );
      },
    }),
    punctualApi: (of, name) => ({ name, make: () => punctualApi(rest, sql, { name, of }) }),
    punctualWorker: (over, name) => ({ name, make: () => punctualWorker(servers, { name, over }) }),
    punctualIdle: (setting) => ({ name: setting.name, make: () => punctualIdle(rest, sql, setting) }),
    punctualClaims: (setting) => ({ name: setting.name, make: () => punctualClaims(servers, setting) }),
    punctualDms: (setting) => ({ name: setting.name, make: () => punctualDms(servers, setting) }),
    graphileWorker: (name, setting) => ({ name, make: () => graphileWorker(servers, name, setting) }),
    pgBoss: (name, batch, lanes) => ({ name, make: () => pgBoss(servers, { name, batch, lanes }) }),
    bullmq: (name, concurrency) => ({ name, make: () => bullmq(servers, { name, concurrency }) }),
    tutorialLoop: () => ({ name: 'tutorial loop', make: () => tutorialLoop(servers) }),
    barePLimit: (concurrency) => ({ name: 'bare p-limit', make: () => barePLimit(concurrency) }),
    async close() {
      await owner.end();
      await direct.close();
    },
  };
}

import { afterEach, beforeEach } from 'vitest';
import { testDatabase } from './fixtures.ts';
import {
  addStandIns,
  removeStandIns,
  standInForPgCron,
  standInForPgNet,
  standInForVault,
} from './supabase-stand-ins.ts';

export const address = 'https://your.app/api/cron/dm-queue';
export const secret = 'the-secret-of-the-clocks';
export const cron = standInForPgCron('1.6');

/**
 * Sets up a database of the file's own with stand-ins for pg_cron, pg_net and Vault. They record calls and data, and neither run nor encrypt
 * anything. Returns the tests' helpers.
 */
export function queueWorkers() {
  const database = testDatabase({ own: true });
  const enable = (...standIns: string[]) => addStandIns(database, ...standIns);
  beforeEach(() => enable(cron, standInForPgNet, standInForVault));
  afterEach(() => removeStandIns(database));

  return {
    database,
    enable,
    /** Replaces the extensions. */
    enableOnly: (...standIns: string[]) => removeStandIns(database).then(() => enable(...standIns)),
    async create(changes: Record<string, string | null> = {}) {
      const worker = { name: 'dm-queue', url: address, token: secret, schedule: '* * * * *', ...changes };
      const text = 'select punctual.create_queue_worker($1, $2, $3, $4) as made';
      return (await database.sql(text, [worker.name, worker.url, worker.token, worker.schedule]))[0].made;
    },
    listed: async () => (await database.sql('select punctual.list_queue_workers() as l'))[0].l,
    jobs: () => database.sql('select jobname, schedule, command from cron.job order by jobname'),
    secrets: () =>
      database.sql('select name, decrypted_secret as token from vault.decrypted_secrets order by name'),
  };
}

import { configDefaults, defineConfig } from 'vitest/config';

const postgres = process.env.STACK_POSTGRES ?? '15';
/** These ask nothing of the version of Postgres, or are of one for which there is a pg_cron: once is enough. */
const once = [
  'tests/locks/upstash-lock.real.test.ts',
  'tests/real/bounded.real.test.ts',
  'tests/real/database-away.real.test.ts',
  'tests/real/kill.real.test.ts',
  'tests/real/monitor-hour.real.test.ts',
  'tests/real/pg-cron.real.test.ts',
  'tests/real/pgmq-kills.real.test.ts',
  'tests/real/redis.real.test.ts',
  'tests/real/restore.real.test.ts',
  'tests/real/worker.real.test.ts',
];

/**
 * The tests on real Postgres, PostgREST and Redis (`npm run stack:install`). Two files at a time. STACK_POSTGRES chooses Postgres 15 (default),
 * 17 or 18.
 */
export default defineConfig({
  resolve: { tsconfigPaths: true },
  test: {
    include: ['tests/**/*.real.test.ts', 'tests/sql/**/*.test.ts', 'tests/engine/tick*.test.ts'],
    // A calendar and names of columns, whose SQL asks nothing of the stack.
    exclude: [
      ...configDefaults.exclude,
      'tests/sql/slots-day.long.test.ts',
      'tests/sql/column-names.long.test.ts',
      ...(postgres === '15' ? [] : once),
    ],
    setupFiles: ['tests/support/register-app.ts'],
    globalSetup: ['tests/support/seed-setup.ts'],
    provide: { tier: 'real' },
    pool: 'forks',
    // As in the quick tier: the files that share a database share its servers.
    isolate: false,
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    env: { STACK_POSTGRES: postgres },
  },
});

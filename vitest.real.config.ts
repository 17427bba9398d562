import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';

const postgres = process.env.STACK_POSTGRES ?? '15';

/**
 * The tests on real Postgres, PostgREST and Redis (`npm run stack:install`). One file at a time: each starts
 * servers of its own, and some measure. STACK_POSTGRES chooses Postgres 15 (default) or 18.
 */
export default defineConfig({
  resolve: { alias: { '@': fileURLToPath(new URL('.', import.meta.url)).replace(/\/$/, '') } },
  test: {
    include: ['tests/**/*.real.test.ts', 'tests/sql/**/*.test.ts', 'tests/engine/tick*.test.ts'],
    // An hour of 11,000 monitors takes most of a minute: once is enough.
    exclude: [
      ...configDefaults.exclude,
      ...(postgres === '18' ? ['tests/real/monitor-hour.real.test.ts'] : []),
    ],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    env: { STACK_POSTGRES: postgres },
  },
});

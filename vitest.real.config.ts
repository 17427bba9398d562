import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/**
 * The tests on real Postgres, PostgREST and Redis (`npm run stack:install`). One file at a time: each starts
 * servers of its own, and some measure. STACK_POSTGRES chooses Postgres 15 (default) or 18.
 */
export default defineConfig({
  resolve: { alias: { '@': fileURLToPath(new URL('.', import.meta.url)).replace(/\/$/, '') } },
  test: {
    include: ['tests/**/*.real.test.ts', 'tests/sql/**/*.test.ts', 'tests/engine/tick*.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    env: { STACK_POSTGRES: process.env.STACK_POSTGRES ?? '15' },
  },
});

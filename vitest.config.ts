import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';

/** The quick tier (`npm test`): the embedded Postgres, a virtual clock, nothing to install. `npm run test:all` adds the long tier. */
export default defineConfig({
  // The paths of tsconfig.json: `@/…`, and the package's entry points by name.
  resolve: { tsconfigPaths: true },
  test: {
    include: ['tests/**/*.test.ts', 'lib/**/*.test.ts'],
    exclude: [...configDefaults.exclude, '**/*.real.test.ts', '**/*.long.test.ts'],
    setupFiles: ['tests/support/register-app.ts'],
    globalSetup: ['tests/support/global-setup.ts', 'tests/support/seed-setup.ts'],
    provide: { tier: 'quick' },
    pool: 'forks',
    // One process a worker: its files share modules and one embedded database, which take seconds to load.
    isolate: false,
    maxWorkers: availableParallelism(),
    expect: { poll: { timeout: 30_000 } },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});

import { configDefaults, defineConfig } from 'vitest/config';
import quick from './vitest.config.ts';

/** Both tiers (`npm run test:all`). Files named `*.long.test.ts` take seconds each: simulation, fuzz, a day of slots, processes, locks. */
export default defineConfig({
  ...quick,
  test: {
    ...quick.test,
    exclude: [...configDefaults.exclude, '**/*.real.test.ts'],
    provide: { tier: 'all' },
  },
});

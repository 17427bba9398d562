import { afterEach, describe, expect, it } from 'vitest';
import { cronOfQueue, frequentCrons, isDaily, planOf } from '@/lib/cli/plan.ts';
import { loadApp } from '@/lib/cli/project/load-app.ts';
import { findEndpoint } from '@/lib/cron/handlers/find-endpoint.ts';
import { registerApp, registeredApp } from '@/lib/queues/registered-app.ts';
import { makeApp } from './cli-bench.ts';

const app = registeredApp();
afterEach(() => registerApp(app));

describe('loadApp', () => {
  it('imports punctual.ts in TypeScript, over the paths of the tsconfig', async () => {
    const folder = makeApp({
      'src/queues/reminders.ts': `import { defineQueue, done } from 'punctual';
import { z } from 'zod';
type Name = string;
export const reminders = defineQueue({
  name: 'reminders' satisfies Name, row: z.object({ id: z.number() }), delivery: 'at-least-once', timeoutMs: 10_000,
  perform: async () => done(),
});
`,
      'src/punctual.ts': `import { definePunctual } from 'punctual';
import { reminders } from '@/src/queues/reminders';
export const punctual = definePunctual({ queues: [reminders] });
`,
    });
    expect((await loadApp(folder)).queues.map(({ name }) => name)).toEqual(['reminders']);
  });

  it('says what is missing or wrong', async () => {
    await expect(loadApp(makeApp())).rejects.toThrow('There is no punctual.ts here. Run: npx punctual init');
    const broken = makeApp({ 'punctual.ts': "import { nothing } from './nowhere';\nnothing();\n" });
    await expect(loadApp(broken)).rejects.toThrow(/punctual\.ts cannot be loaded: .*nowhere/);
  });
});

describe('the entries that a plan needs', () => {
  const paths = { basePath: '', trailingSlash: false };
  const at = (path: string, schedule: string) => ({ path: `/api/punctual/cron/${path}`, schedule });

  it('are told from those that are there', () => {
    expect(planOf([])).toBeNull();
    expect(planOf([at('a', '0 1 * * *'), at('b', '30 2 * * 1')])).toBe('hobby');
    expect(planOf([at('a', '0 1 * * *'), at('b', '0 */2 * * *')])).toBe('pro');
    expect(
      ['0 1,2 * * *', '*/5 1 * * *', '0 1-3 * * *'].filter((schedule) => isDaily({ path: '/', schedule })),
    ).toEqual([]);
  });

  it('leave a queue out that an entry ticks already', () => {
    const minutely = at('process-scheduled', '* * * * *');
    const daily = at('process-scheduled', '5 6 * * *');
    const own = at('reminders', '* * * * *');
    expect(cronOfQueue('reminders', [daily], paths)).toBeNull();
    expect(cronOfQueue('reminders', [minutely], paths)).toBeNull();
    expect(cronOfQueue('reminders', [own], paths)).toBeNull();
    expect(cronOfQueue('reminders', [], paths)).toEqual(daily);
    expect(cronOfQueue('reminders', [daily, at('reconcile', '*/5 * * * *')], paths)).toEqual(own);
  });

  it('tick each minute on this machine, also where Hobby ticks once a day', () => {
    const crons = [{ path: '/api/mine', schedule: '* * * * *' }, at('process-scheduled', '5 6 * * *')];
    const slashed = { basePath: '/shop', trailingSlash: true };
    const [first] = frequentCrons(crons, slashed);
    expect(first).toEqual({ path: '/shop/api/punctual/cron/process-scheduled/', schedule: '* * * * *' });
    expect(findEndpoint(first?.path ?? '', app.queues)).not.toBeNull();
    const own = at('reminders', '* * * * *');
    expect(frequentCrons([...crons, own], paths)).toEqual([crons[1], own]);
  });
});

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Cron } from 'croner';
import { describe, expect, it } from 'vitest';
import { findEndpoint } from '../../lib/cron/handlers/find-endpoint.ts';
import { findQueue } from '../../lib/queues/find-queue.ts';
import { punctual } from '../../punctual.ts';
import { durationFaults, maxDurationOf as maxDurationIn } from '../../scripts/duration-faults.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');

/** Every file below the folder, as a path in the repository. */
function filesOf(folder: string): string[] {
  if (!existsSync(path.join(root, folder))) return [];
  return readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => `${folder}/${file.split(path.sep).join('/')}`)
    .filter((file) => !/node_modules\/|^lib\/dist\//.test(file) && statSync(path.join(root, file)).isFile());
}

const {
  crons,
  functions,
}: {
  crons: { path: string; schedule: string }[];
  functions: Record<string, object>;
} = JSON.parse(read('vercel.json'));
const routes = filesOf('app/api').filter((file) => /\/route\.tsx?$/.test(file));
const cronRoutes = routes.filter((file) => file.startsWith('app/api/cron/'));

/** `[name]` in a route matches any one part of a path. */
function serves(route: string, url: string): boolean {
  const pattern = route.replace(/^app|\/route\.tsx?$/g, '').replace(/\[\w+\]/g, '[^/]+');
  return new RegExp(`^${pattern}$`).test(url.split('?')[0] ?? '');
}

const maxDurationOf = (route: string) => maxDurationIn(read(route));

interface QueueLimits {
  name: string;
  timeoutMs: number;
}

/** The queues that a module exports. */
const queuesIn = (module: object) =>
  Object.values(module).filter(
    (value): value is QueueLimits => typeof value === 'object' && value !== null && 'timeoutMs' in value,
  );

/** The queue that a cron route ticks: its first folder names it. Null for the routes of other work. */
const queueOf = (route: string) => findQueue(route.split('/')[3] ?? '', punctual.queues);

describe('vercel.json', () => {
  it('names crons, and each path and schedule only once', () => {
    expect(crons.length).toBeGreaterThan(0);
    const entries = crons.map(({ path: url, schedule }) => `${url} ${schedule}`);
    expect(new Set(entries).size).toBe(entries.length);
  });

  it.each(crons)('names $path, which a route of its own or the API’s serves', ({ path: url }) => {
    expect(findEndpoint(url, punctual.queues)).not.toBeNull();
    expect(cronRoutes.filter((route) => serves(route, url)).length).toBeLessThanOrEqual(1);
  });

  it.each(crons)('has a schedule of five fields and a next slot for $path: $schedule', ({ schedule }) => {
    expect(schedule.trim().split(/\s+/)).toHaveLength(5);
    expect(new Cron(schedule, { timezone: 'UTC', paused: true }).nextRun()).toBeInstanceOf(Date);
  });
});

describe('the build', () => {
  const files = routes.map((file) => ({ file, source: read(file) }));
  const dmQueue = 'app/api/cron/dm-queue/route.ts';

  it('accepts vercel.json as it is', () => {
    expect(durationFaults(functions, files)).toEqual([]);
  });

  it.each([dmQueue, 'app/api/cron/dm-*/route.ts', 'app/api/cron/dm-queue/**'])(
    'refuses a limit in vercel.json that differs from the route’s own: %s',
    (glob) => {
      expect(durationFaults({ [glob]: { maxDuration: 60 } }, files)).toEqual([]);
      for (const maxDuration of [30, 300, 'max']) {
        const faults = durationFaults({ [glob]: { maxDuration } }, files);
        expect(faults).toEqual([
          expect.stringContaining(`${dmQueue}: maxDuration is 60 in the file and ${maxDuration}`),
        ]);
      }
    },
  );
});

describe.each(cronRoutes)('%s', (route) => {
  it('is called by vercel.json', () => {
    expect(crons.some(({ path: url }) => serves(route, url))).toBe(true);
  });

  it('has a limit that fits its queue’s timeout and 17 s for the claim and the end', () => {
    const queue = queueOf(route);
    expect(queue).not.toBeNull();
    const maxDuration = maxDurationOf(route) ?? 0;
    expect(maxDuration).toBeGreaterThan(0);
    expect(queue?.timeoutMs ?? 0).toBeLessThanOrEqual(maxDuration * 1_000 - 17_000);
  });

  it('answers GET, which Vercel sends, and POST, which other schedulers send', async () => {
    const { GET, POST } = await import(path.join(root, route));
    expect([typeof GET, typeof POST]).toEqual(['function', 'function']);
  });
});

it.each(routes)('%s states its limit as a number, at most 300 s, if it states one', (route) => {
  if (/\bmaxDuration\s*=/.test(read(route))) expect(maxDurationOf(route)).toBeLessThanOrEqual(300);
});

describe('the routes of monitors’ regions', () => {
  const regionRoutes = cronRoutes.filter((file) => /^app\/api\/cron\/monitors\/[^/]+\/route\.ts$/.test(file));
  const regionOf = (route: string) => path.basename(path.dirname(route));

  it('are pinned in vercel.json, each to the region that its folder names, and no other route is', () => {
    const pinned = regionRoutes.map((route) => [route, { regions: [regionOf(route)] }]);
    expect(functions).toEqual(Object.fromEntries(pinned));
  });

  it.each(regionRoutes)('%s ticks the partition that its folder names, every minute', (route) => {
    expect(read(route)).toContain(`cronRoute(monitors, { maxDuration, partition: '${regionOf(route)}' })`);
    // Monitors leave a region without ticks.
    expect(crons.filter(({ path: url }) => serves(route, url))).toMatchObject([{ schedule: '* * * * *' }]);
  });
});

it('punctual.ts has every queue that lib/queues defines', async () => {
  const exported = await Promise.all(filesOf('lib/queues').map((file) => import(path.join(root, file))));
  const queues = exported.flatMap(queuesIn).map(({ name }) => name);
  expect(queues.length).toBeGreaterThan(3);
  expect(punctual.queues.map(({ name }) => name)).toEqual(
    expect.arrayContaining([...queues, 'jobs', 'pgmq']),
  );
});

describe('file names', () => {
  const files = ['lib', 'app', 'components', 'jobs', 'scripts', 'bench', 'tests'].flatMap(filesOf);

  it('are specific: none is utils, helpers, common, types or index', () => {
    const vague = /\/(utils?|helpers?|common|types|index)(\.[\w.]+)?(\/|$)/;
    expect(files.filter((file) => vague.test(file))).toEqual([]);
  });

  it('are in kebab-case', () => {
    const kebab = /^[a-z0-9]+(-[a-z0-9]+)*$/;
    const folder = /^(\[(\.\.\.)?[a-z0-9]+(-[a-z0-9]+)*\]|\([a-z0-9-]+\))$/;
    const wrong = files.filter((file) => {
      const parts = file.split('/');
      const name = (parts.pop() ?? '').split('.')[0] ?? '';
      return !kebab.test(name) || !parts.every((part) => kebab.test(part) || folder.test(part));
    });
    expect(wrong).toEqual([]);
  });

  it('of migrations begin with 14 digits that no other migration has', () => {
    const migrations = readdirSync(path.join(root, 'supabase/migrations'));
    expect(migrations.filter((file) => !/^\d{14}_[a-z0-9_]+\.sql$/.test(file))).toEqual([]);
    expect(new Set(migrations.map((file) => file.slice(0, 14))).size).toBe(migrations.length);
  });
});

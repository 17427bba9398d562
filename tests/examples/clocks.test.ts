import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Cron } from 'croner';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { GET, POST } from '../../app/api/cron/process-scheduled/route';
import { CRON_SECRET, openServedDatabase, stubSecrets } from '../support/api-server';
import type { TestDatabase } from '../support/test-database';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const example = (name: string) => read(`examples/clocks/${name}`);

let database: TestDatabase;
/** The app on loopback: the real handler, over a test database. */
let app: Server;
let appUrl: string;
let folder: string;

beforeAll(async () => {
  database = await openServedDatabase();
  folder = await mkdtemp(path.join(tmpdir(), 'punctual-clocks-'));
  app = createServer(async (incoming, outgoing) => {
    const { method, headers, url } = incoming;
    const request = new Request(`${appUrl}${url}`, { method, headers: headers as Record<string, string> });
    const response =
      url === '/api/cron/process-scheduled'
        ? await (method === 'GET' ? GET : POST)(request)
        : new Response('', { status: 404 });
    outgoing.writeHead(response.status, Object.fromEntries(response.headers)).end(await response.text());
  });
  app.listen(0, '127.0.0.1');
  await once(app, 'listening');
  appUrl = `http://127.0.0.1:${(app.address() as AddressInfo).port}`;
});
afterAll(async () => {
  app.closeAllConnections();
  app.close();
  await database.close();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  stubSecrets();
  await database.reset();
  await database.sql(`insert into punctual.jobs (name, payload) values ('count-words', '{"text": "a b"}')`);
});
afterEach(() => vi.unstubAllEnvs());

/** A command as its platform runs it. While it runs, its secret must stand on no command line. */
async function run(command: string, args: string[], env: Record<string, string>) {
  const child = spawn(command, args, {
    cwd: root,
    env: { NODE_ENV: 'test', PATH: process.env.PATH, ...env },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  const shown: string[] = [];
  const look = setInterval(() => shown.push(...commandLines()), 5);
  const [code] = await once(child, 'exit');
  clearInterval(look);
  return { code, said, exposed: shown.filter((line) => line.includes(CRON_SECRET)) };
}

/** Of all processes, where the system shows them. */
function commandLines(): string[] {
  try {
    return readdirSync('/proc').flatMap((pid) => {
      if (!/^\d+$/.test(pid)) return [];
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return []; // it has ended
      }
    });
  } catch {
    return [];
  }
}

const ticked = async () => {
  const [job] = await database.sql('select status from punctual.jobs');
  const ticks = await database.sql(
    `select clock, path, schedule, slot from punctual.ticks where queue = 'jobs' and done = 1`,
  );
  return { job: job?.status, ticks };
};

/** The text of a block of a YAML file: what is indented deeper than its key. */
function yamlText(source: string, key: string): string {
  const [, indent = '', rest = ''] = new RegExp(`^( *)(?:- )?${key}: ?(.*)$`, 'm').exec(source) ?? [];
  if (rest !== '|') return rest;
  const after = source
    .slice(source.indexOf(`${key}: |`))
    .split('\n')
    .slice(1);
  const end = after.findIndex((line) => line.trim() !== '' && !line.startsWith(`${indent} `));
  return after.slice(0, end < 0 ? undefined : end).join('\n');
}

/** The line that cron runs, with what cron itself does to it. */
function crontabCommand(): string {
  const line = example('crontab')
    .split('\n')
    .find((one) => one.startsWith('* * * * * '));
  return (line ?? '').replace(/^(\S+ ){5}nobody /, '').replaceAll('\\%', '%');
}

const aMinute = /^\d{4}-\d\d-\d\dT\d\d:\d\d:00/;

describe('an example of a clock', () => {
  type Command = [command: string, args: string[], env: Record<string, string>];
  const clock = (name: string, command: (secret: string) => Promise<Command>, entry: object) => ({
    name,
    command,
    entry,
  });
  const all = [
    clock(
      'crontab',
      async (secret) => {
        const headers = path.join(folder, 'headers');
        await writeFile(headers, `Authorization: Bearer ${secret}\n`);
        return ['/bin/sh', ['-c', crontabCommand()], { PUNCTUAL_URL: appUrl, HEADERS: headers }];
      },
      { clock: 'crontab', schedule: '* * * * *', slot: expect.stringMatching(aMinute) },
    ),
    clock(
      'github-actions.yml',
      // As GitHub runs a step on Linux.
      async (secret) => [
        'bash',
        ['-e', '-c', yamlText(example('github-actions.yml'), 'run')],
        { PUNCTUAL_URL: appUrl, CRON_SECRET: secret },
      ],
      { clock: 'github', schedule: null, slot: null },
    ),
    clock(
      'render-cron.yaml',
      async (secret) => {
        const [command = '', ...args] = yamlText(example('render-cron.yaml'), 'startCommand').split(' ');
        const env = { PUNCTUAL_CLOCK: 'render', PUNCTUAL_SCHEDULE: '* * * * *' };
        return [command, args, { ...env, PUNCTUAL_URL: appUrl, CRON_SECRET: secret }];
      },
      { clock: 'render', schedule: '* * * * *', slot: expect.stringMatching(aMinute) },
    ),
  ];

  it.each(all)('$name drives a real tick, with its secret on no command line', async ({ command, entry }) => {
    const { code, said, exposed } = await run(...(await command(CRON_SECRET)));
    expect({ code, said }).toEqual({ code: 0, said: expect.any(String) });
    expect(await ticked()).toEqual({
      job: 'done',
      ticks: [{ path: '/api/cron/process-scheduled', ...entry }],
    });
    expect(exposed).toEqual([]);
  });

  it.each(all)('$name fails and says so where the secret is another one', async ({ command }) => {
    const { code, said } = await run(...(await command('another-secret')));
    expect(code).not.toBe(0);
    expect(said).toMatch(/401/);
    expect((await ticked()).job).toBe('pending');
  });
});

describe('by hand and by Vercel', () => {
  it('curl drives a real tick', async () => {
    const [, line = ''] = /^(curl -i .*)$/m.exec(read('docs/clocks.md')) ?? [];
    const { code, said } = await run('/bin/sh', ['-c', line.replace('https://your.app', appUrl)], {
      CRON_SECRET,
    });
    expect({ code, said }).toEqual({ code: 0, said: expect.stringContaining('200') });
    expect(await ticked()).toMatchObject({ job: 'done', ticks: [{ clock: 'http' }] });
  });

  it('Vercel’s headers drive a real tick, for the slot that its schedule suggests', async () => {
    const response = await fetch(`${appUrl}/api/cron/process-scheduled`, {
      headers: {
        authorization: `Bearer ${CRON_SECRET}`,
        'user-agent': 'vercel-cron/1.0',
        'x-vercel-cron-schedule': '5 6 * * *',
      },
    });
    expect(response.status).toBe(200);
    expect(await ticked()).toEqual({
      job: 'done',
      ticks: [
        {
          clock: 'vercel',
          path: '/api/cron/process-scheduled',
          schedule: '5 6 * * *',
          slot: expect.stringMatching(/T06:05:00/),
        },
      ],
    });
  });
});

describe('what cannot be run here', () => {
  it('calls paths that there are', () => {
    const named = readdirSync(path.join(root, 'examples/clocks')).flatMap(
      (name) => example(name).match(/(?<!app)\/api\/cron\/[\w/-]+/g) ?? [],
    );
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((one) => !existsSync(path.join(root, `app${one}/route.ts`)))).toEqual([]);
  });

  it('is, for Hobby, once a day at most, and pinned to no region', () => {
    const { crons, functions } = JSON.parse(example('vercel.hobby.json'));
    expect(functions).toBeUndefined();
    for (const { schedule } of crons) {
      const [first, second] = new Cron(schedule, { timezone: 'UTC', paused: true }).nextRuns(2);
      expect((second?.getTime() ?? 0) - (first?.getTime() ?? 0)).toBeGreaterThanOrEqual(86_400_000);
    }
  });

  it('is, for Schedules, what vercel.json is for Cron', () => {
    const { schedules, functions } = JSON.parse(example('vercel.schedules.json'));
    const vercel = JSON.parse(read('vercel.json'));
    const entries = Object.values(
      schedules as Record<string, { path: string; schedule: string; timezone: string }>,
    );
    expect(entries.map(({ path, schedule }) => ({ path, schedule }))).toEqual(vercel.crons);
    expect(new Set(entries.map(({ timezone }) => timezone))).toEqual(new Set(['UTC']));
    expect(functions).toEqual(vercel.functions);
  });

  it('is, for EventBridge, a POST with the secret as a bearer token, tried once', () => {
    const { Resources } = JSON.parse(example('eventbridge.json'));
    expect(Resources.Connection.Properties.AuthParameters.ApiKeyAuthParameters).toEqual({
      ApiKeyName: 'Authorization',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's own
      ApiKeyValue: { 'Fn::Sub': 'Bearer ${CronSecret}' },
    });
    expect(Resources.Destination.Properties.HttpMethod).toBe('POST');
    expect(Resources.Rule.Properties.Targets[0].RetryPolicy.MaximumRetryAttempts).toBe(0);
  });
});

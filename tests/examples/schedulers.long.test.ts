import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Cron } from 'croner';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { answerApi } from '../../lib/api/answer-api.ts';
import { findEndpoint } from '../../lib/cron/handlers/find-endpoint.ts';
import { punctual } from '../../punctual.ts';
import { servedDatabase } from '../support/fixtures.ts';
import { serveHandler } from '../support/serve-handler.ts';

const GET = (request: Request) => answerApi(request, ['cron', 'process-scheduled'], {});
const POST = (request: Request) => answerApi(request, ['cron', 'process-scheduled'], {});

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const example = (name: string) => read(`examples/schedulers/${name}`);

/** Unique on this machine, so that no other process has it on its command line. */
const secret = `secret-${randomUUID()}`;

let calls = 0;
/** The address that the app redirects to; null if it does not redirect. */
let movedTo: string | null = null;
/** The command lines of all processes during the calls of an example. */
let commandLines: string[] = [];

const endpoint = '/api/cron/process-scheduled';
/** The app on loopback: the real handler over a test database. */
const app = await serveHandler(async (request) => {
  calls++;
  commandLines.push(...readCommandLines());
  const { pathname } = new URL(request.url);
  if (movedTo !== null) return new Response('', { status: 308, headers: { location: movedTo + pathname } });
  if (pathname !== endpoint) return new Response('', { status: 404 });
  return (request.method === 'GET' ? GET : POST)(request);
});
const folder = await mkdtemp(path.join(tmpdir(), 'punctual-schedulers-'));
const database = servedDatabase();
afterAll(async () => {
  await app.close();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  vi.stubEnv('CRON_SECRET', secret);
  commandLines = [];
  calls = 0;
  movedTo = null;
  await database.sql(`insert into punctual.jobs (name, payload) values ('count-words', '{"text": "a b"}')`);
});

/** Runs a command as its platform does. */
async function run(command: string, args: string[], env: Record<string, string>) {
  const child = spawn(command, args, {
    cwd: root,
    env: { NODE_ENV: 'test', PATH: process.env.PATH, ...env, PUNCTUAL_URL: app.url },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const [code] = await once(child, 'close');
  return { code, output };
}

/** Returns the command lines of all processes, if the system has /proc. */
function readCommandLines(): string[] {
  if (!existsSync('/proc/self/cmdline')) return [];
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
    } catch {
      return []; // the process has ended
    }
  });
}

const ticked = async () => {
  const [job] = await database.sql('select status from punctual.jobs');
  const ticks = await database.sql(
    `select scheduler, path, schedule, slot from punctual.ticks where queue = 'jobs' and done = 1`,
  );
  return { job: job?.status, ticks };
};

/** Returns the text of a key in a YAML file: its value or the block below it. */
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

/** Returns the command in the crontab as cron passes it to the shell. */
function crontabCommand(): string {
  const line = example('crontab')
    .split('\n')
    .find((one) => one.startsWith('* * * * * '));
  return (line ?? '').replace(/^(\S+ ){5}nobody /, '').replaceAll('\\%', '%');
}

/** Returns the variables that `render-cron.yaml` sets, without the secret ones. */
const renderVariables = (): Record<string, string> =>
  Object.fromEntries(
    [...example('render-cron.yaml').matchAll(/- key: (\w+)\n +value: "?(.*?)"?$/gm)].map(([, key, value]) => [
      key,
      value,
    ]),
  );

/** Returns the command that systemd runs, unescaped. */
function systemdCommand(): string {
  const [, command = ''] = /^ExecStart=\/bin\/sh -c '(.*)'$/m.exec(example('punctual.service')) ?? [];
  return command.replaceAll('$$', '$').replaceAll('%%', '%');
}

describe('the example', () => {
  type Command = [command: string, args: string[], env: Record<string, string>];
  const everyMinute = { schedule: '* * * * *', slot: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:00/) };
  const headersFile = async (token: string) => {
    const file = path.join(folder, 'headers');
    await writeFile(file, `Authorization: Bearer ${token}\n`);
    return file;
  };
  const shell = (command: string): [string, string[]] => ['/bin/sh', ['-c', command]];
  /** `command` returns the command for a token. `entry` is the tick that the ledger must have. */
  const all: { name: string; command: (token: string) => Promise<Command>; entry: object }[] = [
    {
      name: 'crontab',
      command: async (token) => [...shell(crontabCommand()), { HEADERS: await headersFile(token) }],
      entry: { scheduler: 'crontab', ...everyMinute },
    },
    {
      name: 'punctual.service',
      command: async (token) => [
        ...shell(systemdCommand()),
        { CREDENTIALS_DIRECTORY: path.dirname(await headersFile(token)) },
      ],
      entry: { scheduler: 'systemd', ...everyMinute },
    },
    {
      name: 'github-actions.yml',
      // As GitHub runs a step on Linux.
      command: async (token) => [
        'bash',
        ['-e', '-c', yamlText(example('github-actions.yml'), 'run')],
        { CRON_SECRET: token },
      ],
      entry: { scheduler: 'github', schedule: null, slot: null },
    },
    {
      name: 'render-cron.yaml',
      command: async (token) => {
        const [command = '', ...args] = yamlText(example('render-cron.yaml'), 'startCommand').split(' ');
        return [command, args, { ...renderVariables(), CRON_SECRET: token }];
      },
      entry: { scheduler: 'render', ...everyMinute },
    },
  ];

  it.each(all)('$name runs a real tick, and its secret is on no command line', async ({ command, entry }) => {
    const { code, output } = await run(...(await command(secret)));
    expect({ code, output }).toEqual({ code: 0, output: expect.any(String) });
    expect(await ticked()).toEqual({ job: 'done', ticks: [{ path: endpoint, ...entry }] });
    expect(commandLines.filter((line) => line.includes(secret))).toEqual([]);
    // The call itself is among the command lines, so the check above can fail.
    const isSeen = commandLines.some((line) => /curl .*process-scheduled|call\.mjs/.test(line));
    expect(isSeen).toBe(existsSync('/proc/self/cmdline'));
  });

  it.each(all)('$name fails with an error if the secret is wrong', async ({ command }) => {
    const { code, output } = await run(...(await command('another-secret')));
    expect(code).not.toBe(0);
    expect(output).toMatch(/401/);
    expect((await ticked()).job).toBe('pending');
  });

  it.each(all)('$name fails with an error if the app redirects, and does not follow', async ({ command }) => {
    movedTo = `${app.url}/moved`;
    const { code, output } = await run(...(await command(secret)));
    expect(code).not.toBe(0);
    expect(output).toMatch(/redirect|308/);
    // One call: the secret was not sent to the new address.
    expect(calls).toBe(1);
  });
});

it('curl, as in docs/schedulers.md, runs a real tick', async () => {
  const [, line = ''] = /^(curl -i .*)$/m.exec(read('docs/schedulers.md')) ?? [];
  const { code, output } = await run('/bin/sh', ['-c', line.replace('https://your.app', app.url)], {
    CRON_SECRET: secret,
  });
  expect({ code, output }).toEqual({ code: 0, output: expect.stringContaining('200') });
  expect(await ticked()).toMatchObject({ job: 'done', ticks: [{ scheduler: 'http' }] });
});

/** Returns the shortest time between the next 20 instants of a schedule, in milliseconds. */
function minGapMs(schedule: string): number {
  const instants = new Cron(schedule, { timezone: 'UTC', paused: true, mode: '5-part' }).nextRuns(20);
  return Math.min(...instants.slice(1).map((at, n) => at.getTime() - (instants[n]?.getTime() ?? 0)));
}

describe('examples that cannot run here', () => {
  it('call only paths that exist', () => {
    const named = readdirSync(path.join(root, 'examples/schedulers')).flatMap(
      (name) => example(name).match(/(?<!app)\/api\/cron\/[\w/-]+/g) ?? [],
    );
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((one) => !findEndpoint(one, punctual.queues))).toEqual([]);
  });

  it('fire as often as their schedulers allow', () => {
    const timer = example('punctual.timer');
    expect(timer).toMatch(/^OnCalendar=\*-\*-\* \*:\*:00$/m);
    expect(timer).toMatch(/^AccuracySec=1s$/m);
    const github = yamlText(example('github-actions.yml'), 'cron').replaceAll("'", '');
    expect(minGapMs(github)).toBeGreaterThanOrEqual(300_000);
    const { crons, functions } = JSON.parse(example('vercel.hobby.json'));
    for (const { schedule } of crons) expect(minGapMs(schedule)).toBeGreaterThanOrEqual(86_400_000);
    // Hobby has one region.
    expect(functions).toBeUndefined();
  });

  it('for Render report the schedule that starts them', () => {
    const schedule = yamlText(example('render-cron.yaml'), 'schedule').replaceAll('"', '');
    expect(renderVariables().PUNCTUAL_SCHEDULE).toBe(schedule);
  });

  it('for pg_cron call only functions that exist, with a valid number of arguments', async () => {
    const calls = [
      ...`${example('pg-cron.sql')}${read('docs/schedulers.md')}`.matchAll(/punctual\.(\w+)\(([^)]*)\)/g),
    ];
    expect(calls.length).toBeGreaterThan(8);
    for (const [call, name, parameters = ''] of calls) {
      const [found] = await database.sql(
        `select pronargs, pronargdefaults from pg_proc where pronamespace = 'punctual'::regnamespace and proname = '${name}'`,
      );
      expect(found, call).toBeDefined();
      const count = parameters === '' ? 0 : parameters.split(', ').length;
      expect(count, call).toBeLessThanOrEqual(found.pronargs);
      expect(count, call).toBeGreaterThanOrEqual(found.pronargs - found.pronargdefaults);
    }
  });

  it('for a Daemon run the worker with the schedules of vercel.json, next to the crons of Hobby', () => {
    const { crons, daemons } = JSON.parse(example('vercel.daemon.json'));
    expect(crons).toEqual(JSON.parse(example('vercel.hobby.json')).crons);
    const { root: folder, entrypoint, command, instances } = daemons.worker;
    const dockerfile = read(path.join(folder, entrypoint));
    const [, start = ''] = /^CMD (\[.+\])$/m.exec(dockerfile) ?? [];
    expect(command).toEqual([...JSON.parse(start), '--schedules', 'schedules.json']);
    expect(Object.values(instances)).toEqual([1]);
    expect(read('docs/schedulers.md')).toContain('cp vercel.json schedules.json');
    expect(dockerfile).toContain(`FROM node:${read('.nvmrc').trim()}-`);
  });

  it('for Schedules have the same paths and schedules as vercel.json, in UTC', () => {
    const { schedules, functions } = JSON.parse(example('vercel.schedules.json'));
    const vercel = JSON.parse(read('vercel.json'));
    const crons = vercel.crons.map((cron: object) => ({ ...cron, timezone: 'UTC' }));
    expect(Object.values(schedules)).toEqual(crons);
    expect(functions).toEqual(vercel.functions);
  });

  it('for EventBridge POST once, with the secret as a bearer token', () => {
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

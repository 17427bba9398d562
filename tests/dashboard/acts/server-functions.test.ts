import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import * as accountActs from '../../../app/(dashboard)/accounts/[id]/account-acts.ts';
import * as rowActs from '../../../app/(dashboard)/acts/actions.ts';
import { readStart } from '../../../app/(dashboard)/dal/queues.ts';
import * as needActs from '../../../app/(dashboard)/needs/snooze-acts.ts';
import * as errorActs from '../../../app/(dashboard)/queues/[queue]/errors/[group]/mark-error.ts';
import * as settingsActs from '../../../app/(dashboard)/queues/[queue]/settings/settings-acts.ts';
import * as testActs from '../../../app/(dashboard)/today/send-test-row.ts';
import { readAccount } from '../../../lib/operate/account-pace.ts';
import { listAudit } from '../../../lib/operate/audit.ts';
import { readQueueSettings } from '../../../lib/operate/queue-settings.ts';
import { readErrorGroup } from '../../../lib/operate/rows/error-groups.ts';
import { getJob } from '../../../lib/queues/jobs/get-job.ts';
import { listSnoozes } from '../../../lib/stats/needs/snoozes.ts';
import { cookie, viewerCookie } from '../../support/api-server.ts';
import { perTestConversations, perTestExchanges, servedDatabase } from '../../support/fixtures.ts';
import { setPageHeaders } from '../../support/page-headers.ts';

const database = servedDatabase();
const sql = perTestExchanges(database);
const talk = perTestConversations(database, sql);

vi.mock('next/headers', async () => (await import('../../support/page-headers.ts')).nextHeaders);
vi.mock('next/navigation', async (original) =>
  (await import('../../support/page-headers.ts')).nextNavigation(original),
);
const ofHost = { host: 'app.test', origin: 'http://app.test' };
const group = '6fa10000';

beforeEach(async () => {
  setPageHeaders({ ...cookie('Mira'), ...ofHost });
  await database.sql(
    `insert into punctual.error_groups (queue, id, kind, text, first_at) values ('dm_queue', '${group}', 'rejected', 'no', now()) on conflict do nothing`,
  );
});
afterEach(() => {
  setPageHeaders({});
});

const form = (values: Record<string, string> = {}) => {
  const data = new FormData();
  for (const [name, value] of Object.entries(values)) data.set(name, value);
  return data;
};
const acts = async () =>
  (await listAudit(database.rpc, { limit: 50 })).items.map(({ by, act, note }) =>
    [by, act, note].filter(Boolean).join(' '),
  );
const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString();

const retrying = { queue: 'dm_queue', rows: '{"action":"retry","filter":{"status":["failed"]}}' };
const pausing = { reason: 'wrong text' };
const all: [name: string, run: () => Promise<object>][] = [
  ['start an action', () => rowActs.startAct(null, form(retrying))],
  ['stop an action', () => rowActs.steerAct('1', 'stop')],
  ['send a test row', () => testActs.sendTest()],
  ['snooze a line', () => needActs.snooze('jobs.paused', null, form({ until: 'hour' }))],
  ['wake a line', () => needActs.wake('jobs.paused')],
  ['pause a queue', () => settingsActs.pause('dm_queue', null, null, form(pausing))],
  ['resume a queue', () => settingsActs.resume('dm_queue', null)],
  [
    'change a setting',
    () => settingsActs.change('dm_queue', null, { concurrency: 5 }, null, form({ concurrency: '8' })),
  ],
  ['run a tick', () => settingsActs.runTick('jobs', 'default')],
  ['mark an error as known', () => errorActs.markKnown('dm_queue', group, null, form())],
  ['mark an error as new', () => errorActs.markNew('dm_queue', group)],
  ['pause an account', () => accountActs.pause(talk.account, null, form(pausing))],
  ['resume an account', () => accountActs.resume(talk.account)],
  [
    'change the limits of an account',
    () => accountActs.changeLimits(talk.account, null, form({ daily_limit: '3' })),
  ],
];

describe.each(all)('the Server Function to %s', (_name, run) => {
  it('refuses a viewer and changes nothing', async () => {
    const before = await acts();
    setPageHeaders({ ...viewerCookie(), ...ofHost });
    expect(await run()).toEqual({ failure: expect.stringContaining('viewer') });
    expect(await acts()).toEqual(before);
  });

  it('refuses a call that another site causes, and one without a session', async () => {
    const before = await acts();
    setPageHeaders({ ...cookie('Mira'), host: 'app.test', origin: 'http://elsewhere.test' });
    expect(await run()).toEqual({ failure: expect.stringContaining('must come from the dashboard') });
    setPageHeaders(ofHost);
    await expect(run()).rejects.toMatchObject({
      digest: expect.stringMatching(/^NEXT_REDIRECT;.*;\/login;/),
    });
    expect(await acts()).toEqual(before);
  });
});

describe('an operator', () => {
  it('pauses a queue until a time and resumes it, by name', async () => {
    const until = inAnHour();
    expect(await settingsActs.pause('dm_queue', null, null, form({ ...pausing, until }))).toHaveProperty(
      'done',
    );
    const { paused_reason, paused_until } = await readQueueSettings(database.rpc, 'dm_queue');
    expect([paused_reason, Date.parse(paused_until ?? '')]).toEqual(['wrong text', Date.parse(until)]);
    expect(await settingsActs.resume('dm_queue', null)).toHaveProperty('done');
    expect((await readQueueSettings(database.rpc, 'dm_queue')).paused_at).toBeNull();
    expect((await acts()).slice(0, 2)).toEqual(['Mira resume_queue', 'Mira pause_queue wrong text']);
  });

  it('pauses until an instant of UTC where the browser had no scripts to send its zone', async () => {
    await settingsActs.pause('dm_queue', null, null, form({ ...pausing, until: '2040-01-02T03:04' }));
    const { paused_until } = await readQueueSettings(database.rpc, 'dm_queue');
    expect(Date.parse(paused_until ?? '')).toBe(Date.UTC(2040, 0, 2, 3, 4));
  });

  it('changes a setting of a partition with a note', async () => {
    const done = await settingsActs.change(
      'jobs',
      'default',
      { concurrency: null },
      null,
      form({ concurrency: '2', note: 'slow' }),
    );
    expect(done).toEqual({ done: 'One setting is changed. The next exchange obeys.' });
    expect((await acts())[0]).toBe('Mira change_settings slow');
  });

  it('reads why a wrong value changed nothing', async () => {
    const call = settingsActs.change(
      'dm_queue',
      null,
      { concurrency: 5 },
      null,
      form({ concurrency: '5000' }),
    );
    expect(await call).toEqual({ failure: expect.stringMatching(/^concurrency: .*1000/) });
    expect(await settingsActs.pause('dm_queue', null, null, form())).toEqual({
      failure: expect.stringMatching(/^reason: /),
    });
    expect(await acts()).toEqual([]);
  });

  it('runs a tick and reads what it did', async () => {
    expect(await settingsActs.runTick('jobs', 'default')).toEqual({ done: 'The tick found nothing due.' });
    expect(await acts()).toEqual(['Mira run_queue']);
  });

  it('snoozes a line for an hour, a week or until an instant, and wakes it', async () => {
    await settingsActs.pause('jobs', null, null, form(pausing));
    const snoozed = async (until: string) => {
      expect(await needActs.snooze('jobs.paused', null, form({ until }))).toHaveProperty('done');
      const [one] = await listSnoozes(database.rpc);
      return (Date.parse(one?.until ?? '') - Date.parse(one?.at ?? '')) / 3_600_000;
    };
    expect(await snoozed('hour')).toBeCloseTo(1, 1);
    expect(await snoozed('week')).toBeCloseTo(168, 1);
    expect(await snoozed(new Date(Date.now() + 7_200_000).toISOString())).toBeCloseTo(2, 1);
    expect(await needActs.wake('jobs.paused')).toHaveProperty('done');
    expect(await listSnoozes(database.rpc)).toEqual([]);
    expect(await needActs.snooze('jobs.gone', null, form({ until: 'hour' }))).toHaveProperty('failure');
  });

  it('sends a test row that a tick runs, and finds it on an empty Today', async () => {
    await database.sql(`delete from punctual.jobs`);
    expect(await readStart()).toMatchObject({ isNew: true, tests: [] });
    const { done } = (await testActs.sendTest()) as { done: string };
    const id = /row (\d+) of jobs/.exec(done)?.[1] as string;
    expect(await acts()).toEqual(['Mira send_test_row']);
    expect(await readStart()).toMatchObject({ isNew: true, tests: [id] });
    await settingsActs.runTick('jobs', 'default');
    expect(await getJob(id, database)).toMatchObject({ name: 'test', status: 'done', result: {} });
    // Jobs of its own end the first steps.
    await database.sql(`insert into punctual.jobs (name, run_at) values ('a', now())`);
    expect(await readStart()).toMatchObject({ isNew: false });
  });

  it('marks an error as known with a note, and as new again', async () => {
    await errorActs.markKnown('dm_queue', group, null, form({ note: 'ticket 7' }));
    expect(await readErrorGroup(database.rpc, 'dm_queue', group)).toMatchObject({
      known_by: 'Mira',
      known_note: 'ticket 7',
    });
    await errorActs.markNew('dm_queue', group);
    expect((await readErrorGroup(database.rpc, 'dm_queue', group)).known_at).toBeNull();
  });

  it('pauses an account, and changes only its limits', async () => {
    const before = await readAccount(database.rpc, talk.account);
    await accountActs.pause(talk.account, null, form(pausing));
    const limits = { daily_limit: '3', hourly_limit: '', gap_seconds: '60' };
    expect(await accountActs.changeLimits(talk.account, null, form(limits))).toHaveProperty('done');
    const { pace: _, ...after } = await readAccount(database.rpc, talk.account);
    const { pace: __, ...rest } = before;
    expect(after).toEqual({
      ...rest,
      ...{
        daily_limit: 3,
        hourly_limit: null,
        gap_seconds: 60,
        paused_until: 'infinity',
        paused_reason: 'wrong text',
      },
    });
  });

  it('finds what people did to one account', async () => {
    await accountActs.pause(talk.account, null, form(pausing));
    await settingsActs.pause('dm_queue', null, null, form(pausing));
    const { items } = await listAudit(database.rpc, { target: talk.account, limit: 50 });
    expect(items.map(({ act }) => act)).toEqual(['pause_account']);
  });
});

it('an action that finds no row to change says so, and is not recorded', async () => {
  const rows = JSON.stringify({ action: 'retry', filter: { status: ['failed'] } });
  expect(await rowActs.startAct(null, form({ queue: 'dm_queue', rows, expect: '0' }))).toEqual({
    failure: 'Nothing was changed: no row matches any more.',
  });
  expect(await acts()).toEqual([]);
});

import { beforeEach, describe, expect, it } from 'vitest';
import { GET, POST } from '../../app/api/accounts/route.ts';
import { apiRequest, withKey } from '../support/api-server.ts';
import { servedDatabase } from '../support/fixtures.ts';

const database = servedDatabase({}, { password: '' });

beforeEach(async () => {
  await database.sql('delete from punctual.accounts');
});

const accountsRequest = (method: string, headers = withKey, body?: string) =>
  apiRequest(method, '/api/accounts', headers, body);
const save = (body: unknown, headers = withKey) =>
  POST(accountsRequest('POST', headers, JSON.stringify(body)));

async function saved(body: unknown) {
  const response = await save(body);
  const result = await response.json();
  expect(result.error).toBeUndefined();
  expect(response.status).toBe(200);
  return result.account;
}

async function refusedFields(body: unknown): Promise<string[]> {
  const response = await save(body);
  const { error } = await response.json();
  expect({ status: response.status, kind: error?.kind }).toEqual({ status: 422, kind: 'invalid' });
  expect(await stored()).toEqual([]);
  // A field may have two errors.
  return [...new Set<string>(error.errors.map(({ field }: { field: string }) => field))];
}

async function list() {
  const response = await GET(accountsRequest('GET'));
  expect(response.status).toBe(200);
  return (await response.json()).accounts;
}

const ann = (changes: object = {}) => ({
  provider: 'unipile',
  provider_account_id: 'ann-1',
  name: 'Ann',
  ...changes,
});
const stored = () => database.sql('select * from punctual.accounts');

describe('POST /api/accounts', () => {
  it('adds an account, by default with 30 messages a day in UTC', async () => {
    expect(await saved(ann())).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      provider: 'unipile',
      provider_account_id: 'ann-1',
      name: 'Ann',
      time_zone: 'UTC',
      daily_limit: 30,
      hourly_limit: null,
      gap_seconds: null,
      gap_jitter_seconds: 0,
      hours: null,
      ramp_started_on: null,
      ramp_days: 14,
      ramp_from_percent: 20,
      paused_until: null,
      paused_reason: null,
      queues: {},
    });
    expect(
      await saved(ann({ provider_account_id: 'bo', time_zone: 'Europe/Berlin', daily_limit: 0 })),
    ).toMatchObject({
      time_zone: 'Europe/Berlin',
      daily_limit: 0,
    });
  });

  it('changes the account with the same provider id, and keeps the fields that are not sent', async () => {
    const first = await saved(ann({ time_zone: 'Asia/Tokyo', daily_limit: 5 }));
    expect(await saved(ann({ name: 'Ann B.' }))).toEqual({ ...first, name: 'Ann B.' });
    expect(await saved(ann({ daily_limit: 7 }))).toEqual({ ...first, daily_limit: 7 });
    expect(await stored()).toHaveLength(1);
  });

  const paced = {
    hourly_limit: 6,
    gap_seconds: 90,
    gap_jitter_seconds: 60,
    hours: { mon: ['09:00-12:00', '13:00-24:00'], tue: ['09:00-17:00'], sun: [] },
    ramp_started_on: '2026-12-01',
    ramp_days: 10,
    ramp_from_percent: 5,
    queues: { dm_queue: { daily_limit: 20, hours: { sat: ['10:00-11:00'] } }, posts: { daily_limit: 2 } },
  };

  it('stores every setting of the pace, and returns it', async () => {
    const account = await saved(ann(paced));
    expect(account).toMatchObject(paced);
    expect(await list()).toEqual([account]);
    expect(await saved(ann({ name: 'Ann B.' }))).toEqual({ ...account, name: 'Ann B.' });
  });

  it('switches off a setting that is null', async () => {
    await saved(ann(paced));
    const off = { hourly_limit: null, gap_seconds: null, hours: null, ramp_started_on: null };
    expect(await saved(ann({ ...off, gap_jitter_seconds: null }))).toMatchObject({
      ...off,
      gap_jitter_seconds: 0,
      ramp_days: 10,
      queues: paced.queues,
    });
  });

  it('lets a queue inherit from the account, setting by setting', async () => {
    const own = { daily_limit: 20, hourly_limit: 2, gap_seconds: 5, gap_jitter_seconds: 1 };
    await saved(ann({ queues: { dm_queue: own } }));
    expect(await saved(ann({ queues: { dm_queue: { hourly_limit: null, gap_seconds: 7 } } }))).toMatchObject({
      queues: { dm_queue: { daily_limit: 20, gap_seconds: 7, gap_jitter_seconds: 1 } },
    });
    const none = { daily_limit: null, hourly_limit: null, gap_seconds: null, gap_jitter_seconds: null };
    expect(await saved(ann({ queues: { dm_queue: { ...none, hours: null } } }))).toMatchObject({
      queues: {},
    });
  });

  it('distinguishes 0 from null', async () => {
    const zero = { gap_seconds: 0, gap_jitter_seconds: 0, queues: { dm_queue: { daily_limit: 0 } } };
    expect(await saved(ann(zero))).toMatchObject(zero);
  });

  it('pauses an account and resumes it', async () => {
    const pause = { paused_until: '2030-01-01T09:00:00+02:00', paused_reason: 'asked to' };
    const account = await saved(ann(pause));
    expect(account.paused_reason).toBe('asked to');
    expect(Date.parse(account.paused_until)).toBe(Date.parse(pause.paused_until));
    expect(await saved(ann({ paused_until: null, paused_reason: null }))).toMatchObject({
      paused_until: null,
      paused_reason: null,
    });
  });

  it('keeps a pause if other fields change', async () => {
    await saved(ann());
    await database.sql(
      `update punctual.accounts set paused_until = '2030-01-01T00:00:00Z', paused_reason = 'asked to'`,
    );
    expect(await saved(ann({ name: 'Ann B.' }))).toMatchObject({ paused_reason: 'asked to' });
  });

  it('keeps accounts of two providers apart, even with the same id', async () => {
    const one = await saved(ann());
    const two = await saved(ann({ provider: 'whatsapp_cloud' }));
    expect(two.id).not.toBe(one.id);
  });

  it('creates one account from two identical calls at once', async () => {
    const [one, two] = await Promise.all([saved(ann()), saved(ann())]);
    expect(one.id).toBe(two.id);
  });

  const wrong: [label: string, changes: object, fields: string[]][] = [
    ['an unknown provider', { provider: 'telex' }, ['provider']],
    ['no id', { provider_account_id: undefined }, ['provider_account_id']],
    ['an empty id', { provider_account_id: '' }, ['provider_account_id']],
    ['an id that is a number', { provider_account_id: 100200300 }, ['provider_account_id']],
    ['no name', { name: undefined }, ['name']],
    ['NUL in the name', { name: 'An\0n' }, ['name']],
    ['half an emoji in the name', { name: 'Ann \ud83d' }, ['name']],
    ['a name of 201 characters', { name: 'x'.repeat(201) }, ['name']],
    ['a time zone that does not exist', { time_zone: 'Europe/Atlantis' }, ['time_zone']],
    ['an empty time zone', { time_zone: '' }, ['time_zone']],
    ['a time zone that is null', { time_zone: null }, ['time_zone']],
    ['SQL as a time zone', { time_zone: "UTC'; drop table x; --" }, ['time_zone']],
    ['a limit below 0', { daily_limit: -1 }, ['daily_limit']],
    ['a limit of half a message a day', { daily_limit: 1.5 }, ['daily_limit']],
    ['a limit above 100,000', { daily_limit: 100_001 }, ['daily_limit']],
    ['a limit that is a string', { daily_limit: '30' }, ['daily_limit']],
    ['a limit that is null', { daily_limit: null }, ['daily_limit']],
    ['an hourly limit of 0', { hourly_limit: 0 }, ['hourly_limit']],
    ['an hourly limit above 1,000', { hourly_limit: 1_001 }, ['hourly_limit']],
    ['a gap below 0', { gap_seconds: -1 }, ['gap_seconds']],
    ['a gap of more than a day', { gap_seconds: 86_401 }, ['gap_seconds']],
    ['a jitter of half a second', { gap_jitter_seconds: 0.5 }, ['gap_jitter_seconds']],
    ['an unknown day', { hours: { monday: ['09:00-17:00'] } }, ['hours.monday', 'hours']],
    ['hours that are a string', { hours: '09:00-17:00' }, ['hours']],
    ['hours past midnight', { hours: { mon: ['22:00-02:00'] } }, ['hours.mon.0']],
    ['hours that overlap', { hours: { mon: ['09:00-12:00', '11:00-13:00'] } }, ['hours.mon']],
    ['a week without hours', { hours: {} }, ['hours']],
    ['a ramp from no date', { ramp_started_on: 'tomorrow' }, ['ramp_started_on']],
    ['a ramp from an instant', { ramp_started_on: '2026-12-01T00:00:00Z' }, ['ramp_started_on']],
    ['a ramp from the 30th of February', { ramp_started_on: '2026-02-30' }, ['ramp_started_on']],
    ['a ramp from the year 0', { ramp_started_on: '0000-01-01' }, ['ramp_started_on']],
    ['a ramp of no days', { ramp_days: 0 }, ['ramp_days']],
    ['a ramp of more than a year', { ramp_days: 366 }, ['ramp_days']],
    ['a ramp from 0 percent', { ramp_from_percent: 0 }, ['ramp_from_percent']],
    ['a ramp from 101 percent', { ramp_from_percent: 101 }, ['ramp_from_percent']],
    ['a pause until a date without a time', { paused_until: '2030-01-01' }, ['paused_until']],
    ['NUL in the reason for a pause', { paused_reason: '\0' }, ['paused_reason']],
    ['an unknown queue', { queues: { letters: {} } }, ['queues']],
    ['a queue without accounts', { queues: { jobs: { daily_limit: 3 } } }, ['queues']],
    [
      'a setting that a queue cannot have',
      { queues: { dm_queue: { ramp_days: 3 } } },
      ['queues.dm_queue.ramp_days'],
    ],
    [
      'a queue’s hours that overlap',
      { queues: { dm_queue: { hours: { fri: ['09:00-11:00', '10:00-12:00'] } } } },
      ['queues.dm_queue.hours.fri'],
    ],
    ['an unknown field', { hourly: 3 }, ['hourly']],
  ];
  it.each(wrong)('refuses %s and names the field', async (_label, changes, fields) => {
    expect(await refusedFields(ann(changes))).toEqual(fields);
  });

  it.each([null, [], [ann()], 'Ann', 7])('refuses %j, which is not an account', async (value) => {
    expect(await refusedFields(value)).toEqual(['']);
  });

  it('accepts or refuses every name of a time zone, and never answers 5xx', async () => {
    // Node and Postgres disagree about these names.
    const disputed = [
      'EST5EDT',
      'GMT0',
      'AET',
      'PNT',
      'US/Pacific-New',
      'GMT+1',
      '+01:00',
      'Factory',
      'europe/BERLIN',
    ];
    const failures: object[] = [];
    const known = Intl.supportedValuesOf('timeZone').filter((_name, n) => n % 10 === 0);
    for (const time_zone of [...known, ...disputed]) {
      const response = await save(ann({ time_zone }));
      if (response.status === 200) expect((await response.json()).account.time_zone).toBe(time_zone);
      else if (response.status !== 422) failures.push({ time_zone, status: response.status });
    }
    expect(failures).toEqual([]);
  });

  it('answers 400 to a body that is not JSON', async () => {
    const response = await POST(accountsRequest('POST', withKey, '{'));
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { kind: 'invalid_json' } });
  });
});

describe('GET /api/accounts', () => {
  it('lists the accounts by name', async () => {
    expect(await list()).toEqual([]);
    const carol = await saved(ann({ name: 'Carol', provider_account_id: 'c' }));
    const bob = await saved(ann({ name: 'Bob', provider_account_id: 'b' }));
    expect(await list()).toEqual([bob, carol]);
  });

  it('shows a pause and its reason', async () => {
    await saved(ann());
    await database.sql(`update punctual.accounts set paused_until = 'infinity', paused_reason = 'asked to'`);
    expect(await list()).toMatchObject([{ paused_until: 'infinity', paused_reason: 'asked to' }]);
  });
});

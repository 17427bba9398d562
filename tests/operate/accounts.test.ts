import { describe, expect, it } from 'vitest';
import { endpoints as accountsApi } from '../../lib/api/accounts.ts';
import { answered, apiRequest } from '../support/api-server.ts';
import { servedDatabase } from '../support/fixtures.ts';

const { 'GET /accounts': GET, 'POST /accounts': POST } = accountsApi;

const database = servedDatabase();

const save = (body: unknown) =>
  answered(POST(apiRequest('POST', '/api/accounts', undefined, JSON.stringify(body))));

async function saved(body: unknown) {
  const { status, body: result } = await save(body);
  expect([status, result.error]).toEqual([200, undefined]);
  return result.account;
}

const list = async () => (await answered(GET(apiRequest('GET', '/api/accounts')))).body.accounts;

const ann = (changes: object = {}) => ({
  provider: 'unipile',
  provider_account_id: 'ann-1',
  name: 'Ann',
  ...changes,
});

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
  });

  it('changes the account with the same provider id, and keeps the fields that are not sent', async () => {
    const paused = { paused_until: '2030-01-01T00:00:00Z', paused_reason: 'asked to' };
    const first = await saved(ann({ time_zone: 'Asia/Tokyo', daily_limit: 0, ...paused }));
    expect(first).toMatchObject({ time_zone: 'Asia/Tokyo', daily_limit: 0, paused_reason: 'asked to' });
    expect(await saved(ann({ name: 'Ann B.' }))).toEqual({ ...first, name: 'Ann B.' });
    expect(await list()).toEqual([{ ...first, name: 'Ann B.' }]);
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
  });

  it('switches off a setting that is null, and keeps one that is 0', async () => {
    await saved(ann(paced));
    const off = { hourly_limit: null, gap_seconds: null, hours: null, ramp_started_on: null };
    const kept = { gap_jitter_seconds: 0, ramp_days: 10, queues: paced.queues };
    expect(await saved(ann({ ...off, gap_jitter_seconds: null }))).toMatchObject({ ...off, ...kept });
    const zero = { gap_seconds: 0, gap_jitter_seconds: 0, queues: { dm_queue: { daily_limit: 0 } } };
    expect(await saved(ann(zero))).toMatchObject(zero);
  });

  it('lets a queue inherit from the account, setting by setting', async () => {
    const own = { daily_limit: 20, hourly_limit: 2, gap_seconds: 5, gap_jitter_seconds: 1 };
    await saved(ann({ queues: { dm_queue: own } }));
    const { queues } = await saved(ann({ queues: { dm_queue: { hourly_limit: null, gap_seconds: 7 } } }));
    expect(queues).toEqual({ dm_queue: { daily_limit: 20, gap_seconds: 7, gap_jitter_seconds: 1 } });
    const none = Object.fromEntries([...Object.keys(own), 'hours'].map((name) => [name, null]));
    expect((await saved(ann({ queues: { dm_queue: none } }))).queues).toEqual({});
  });

  it('pauses an account and resumes it', async () => {
    const pause = { paused_until: '2030-01-01T09:00:00+02:00', paused_reason: 'asked to' };
    const account = await saved(ann(pause));
    expect(Date.parse(account.paused_until)).toBe(Date.parse(pause.paused_until));
    const resumed = { paused_until: null, paused_reason: null };
    expect(await saved(ann(resumed))).toMatchObject(resumed);
  });

  it('keeps accounts of two providers apart, even with the same id, and lists them by name', async () => {
    const one = await saved(ann());
    const two = await saved(ann({ provider: 'whatsapp_cloud', name: 'An' }));
    expect(await list()).toEqual([two, one]);
  });

  it('creates one account from two identical calls at once', async () => {
    const [one, two] = await Promise.all([saved(ann()), saved(ann())]);
    expect(one.id).toBe(two.id);
  });

  const overlapping = { fri: ['09:00-11:00', '10:00-12:00'] };
  const queueOf = (name: string, settings: object) => ({ [name]: settings });
  it.each<[field: string, ...wrong: unknown[]]>([
    ['provider', 'telex'],
    ['provider_account_id', undefined, '', 100200300],
    ['name', undefined, 'An\0n', 'Ann \ud83d', 'x'.repeat(201)],
    ['time_zone', 'Europe/Atlantis', '', null, "UTC'; drop table x; --"],
    ['daily_limit', -1, 1.5, 100_001, null],
    ['hourly_limit', 0, 1_001],
    ['gap_seconds', -1, 86_401],
    ['gap_jitter_seconds', 0.5],
    ['hours', '09:00-17:00', {}],
    ['hours.fri', { hours: overlapping }],
    ['ramp_started_on', 'tomorrow', '2026-12-01T00:00:00Z', '2026-02-30', '0000-01-01'],
    ['ramp_days', 0, 366],
    ['ramp_from_percent', 0, 101],
    ['paused_until', '2030-01-01'],
    ['paused_reason', '\0'],
    ['queues', queueOf('letters', {}), queueOf('jobs', { daily_limit: 3 })],
    ['queues.dm_queue.ramp_days', { queues: queueOf('dm_queue', { ramp_days: 3 }) }],
    ['queues.dm_queue.hours.fri', { queues: queueOf('dm_queue', { hours: overlapping }) }],
    ['hourly', 3],
  ])('names the invalid field: %s', async (field, ...wrong) => {
    for (const value of wrong) {
      const changes = field.includes('.') ? (value as object) : { [field]: value };
      const { status, body } = await save(ann(changes));
      expect([status, body.error?.kind]).toEqual([422, 'invalid']);
      for (const error of body.error.errors) expect(error.field, JSON.stringify(value)).toBe(field);
    }
    expect(await list()).toEqual([]);
  });

  it.each([null, [], [ann()], 'Ann', 7])('refuses %j, which is not an account', async (value) => {
    expect(await save(value)).toMatchObject({ status: 422, body: { error: { errors: [{ field: '' }] } } });
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
    const known = Intl.supportedValuesOf('timeZone').filter((_name, n) => n % 10 === 0);
    for (const time_zone of [...known, ...disputed]) {
      const { status, body } = await save(ann({ time_zone }));
      expect([time_zone, status]).toEqual([time_zone, status === 200 ? 200 : 422]);
      if (status === 200) expect(body.account.time_zone).toBe(time_zone);
    }
  });
});

it('GET /api/accounts shows a pause that has no end', async () => {
  await saved(ann());
  await database.sql(`update punctual.accounts set paused_until = 'infinity', paused_reason = 'asked to'`);
  expect(await list()).toMatchObject([{ paused_until: 'infinity', paused_reason: 'asked to' }]);
});

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { exchanges } from '../support/exchanges.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
let sql: ReturnType<typeof exchanges>;

beforeAll(async () => {
  database = await openTestDatabase();
});
beforeEach(async () => {
  await database.reset();
  sql = exchanges(database);
});
afterAll(() => database.close());

/** What a check found; `up` unless said. */
type Found = { verdict?: string; network?: string | null; [field: string]: unknown };

const call = (fn: string, args: object = {}) =>
  // biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
  database.rpc(fn, { ...args, p_now: sql.now }) as Promise<any>;

async function create(...changes: object[]): Promise<string[]> {
  const rows = changes.map((change, n) => ({
    name: `site ${n}`,
    url: `https://site-${n}.example`,
    ...change,
  }));
  const answer = await call('create_monitors', { p_rows: rows });
  if (answer.errors) throw new Error(JSON.stringify(answer.errors));
  return answer.rows.map((row: { id: string }) => row.id);
}

async function monitor(id: string) {
  const [row] = await database.sql('select * from punctual.monitors where id = $1', [id]);
  return row;
}
const incidents = () =>
  database.sql(
    `select i.*, extract(epoch from i.ended_at - i.started_at)::integer as seconds from punctual.incidents i order by i.id`,
  );

/** One tick of a region: each monitor that is due there is found as `find` says. Answers the ids that were checked. */
async function tickOf(
  region: string,
  find: (row: { id: string; region: string }) => Found = () => ({}),
): Promise<string[]> {
  const tick = sql.tick({ queue: 'monitors', partition: region });
  const { rows, claimId } = await tick.claim(2_000);
  const records = rows.map(({ id, row }) => ({
    id,
    claim_id: claimId,
    outcome: 'again',
    delay_seconds: row.interval_seconds,
    result: {
      verdict: 'up',
      error: null,
      network: null,
      total_ms: 120,
      took_ms: 120,
      redirects: 0,
      ...find(row),
    },
  }));
  await tick.settle(records, { close: true });
  return rows.map(({ id }) => id);
}
const down = (error = 'it answered 503'): Found => ({ verdict: 'down', error, status_code: 503 });

describe('when a monitor falls due', () => {
  it('first within a minute of its making, then on a grid of its own', async () => {
    const ids = await create(...Array.from({ length: 50 }, () => ({ interval_seconds: 300 })));
    const due = await database.sql('select next_check_at as at from punctual.monitors');
    for (const { at } of due) {
      const wait = Date.parse(at) - Date.parse(sql.now);
      expect(wait).toBeGreaterThanOrEqual(0);
      expect(wait).toBeLessThan(60_000);
    }
    sql.pass(61);
    expect(await tickOf('main')).toHaveLength(50);
    const next = (await database.sql('select next_check_at as at from punctual.monitors')).map(({ at }) =>
      Date.parse(at),
    );
    expect(new Set(next).size).toBe(ids.length);
    // Over the whole interval, and not in one corner of it.
    const fifths = new Set(next.map((at) => Math.floor((at % 300_000) / 60_000)));
    expect(fifths.size).toBe(5);
  });

  it('1,000 of one interval have no instant in common, nor the seconds in which minute clocks call', async () => {
    const rows = await database.sql(
      `select punctual.next_on_grid(n, 60, '2026-03-02T12:00:00Z') as at from generate_series(1, 1000) n`,
    );
    const seconds = rows.map(({ at }) => (Date.parse(at) / 1_000) % 60);
    expect(new Set(seconds).size).toBeGreaterThan(950);
    expect(Math.min(...seconds)).toBeGreaterThanOrEqual(15);
    expect(Math.max(...seconds)).toBeLessThan(55);
    for (let second = 15; second < 55; second++) {
      const here = seconds.filter((at) => Math.floor(at) === second).length;
      expect(here).toBeGreaterThan(8);
      expect(here).toBeLessThan(50);
    }
  });

  it.each([10, 45, 60, 90, 600, 3_600, 86_400])(
    'every %i s: the next instant is later, and by no more',
    async (interval) => {
      const rows = await database.sql(
        `select i.id, i.after, punctual.next_on_grid(i.id, $1, i.after) as at, punctual.next_on_grid(i.id, $1, punctual.next_on_grid(i.id, $1, i.after)) as then
         from (select n as id, timestamptz '2026-03-02T12:00:00Z' + n * interval '377.123 seconds' as after from generate_series(1, 200) n) i`,
        [interval],
      );
      for (const { after, at, then } of rows) {
        const wait = Date.parse(at) - Date.parse(after);
        expect(wait).toBeGreaterThanOrEqual(0);
        expect(wait).toBeLessThanOrEqual(interval * 1_000);
        expect(Date.parse(then) - Date.parse(at)).toBe(interval * 1_000);
      }
    },
  );

  it('under a one-minute clock that is late by up to ten seconds, one of 60 s is checked by every tick', async () => {
    const ids = await create(...Array.from({ length: 100 }, () => ({})));
    await database.sql('update punctual.monitors set next_check_at = punctual.next_on_grid(id, 60, $1)', [
      sql.now,
    ]);
    const start = Date.parse('2026-03-02T12:00:00Z');
    for (let minute = 1; minute <= 12; minute++) {
      sql.setNow(new Date(start + minute * 60_000 + ((minute * 7_919) % 10_000)).toISOString());
      expect(await tickOf('main')).toHaveLength(ids.length);
    }
  });

  it('a late tick checks each once, and does not make up for what was missed', async () => {
    const [id = ''] = await create({});
    sql.pass(60);
    await tickOf('main');
    const { next_check_at: due } = await monitor(id);
    sql.pass(3_600);
    expect(await tickOf('main')).toEqual([id]);
    expect(await tickOf('main')).toEqual([]);
    const row = await monitor(id);
    expect(row.last_scheduled_at).toBe(due);
    expect((Date.parse(row.next_check_at) - Date.parse(due)) % 60_000).toBe(0);
  });

  it('a check that goes on past the next instant does not lose it', async () => {
    const [id = ''] = await create({ interval_seconds: 10 });
    sql.pass(60);
    const tick = sql.tick({ queue: 'monitors', partition: 'main' });
    const { claimId } = await tick.claim();
    sql.pass(12);
    const result = { verdict: 'up', total_ms: 12_000, took_ms: 12_000 };
    await tick.settle([{ id, claim_id: claimId, outcome: 'again', delay_seconds: 10, result }], {
      close: true,
    });
    expect(Date.parse((await monitor(id)).next_check_at)).toBeLessThanOrEqual(Date.parse(sql.now));
    expect(await tickOf('main')).toEqual([id]);
  });

  it('the critical first, whatever has waited longer', async () => {
    const ids = await create(
      { criticality: 'low' },
      {},
      { criticality: 'critical' },
      { criticality: 'high' },
    );
    sql.pass(120);
    await database.sql(
      `update punctual.monitors set next_check_at = next_check_at - interval '1 hour' where criticality in ('low', 'normal')`,
    );
    const tick = sql.tick({ queue: 'monitors', partition: 'main' });
    expect((await tick.claim(2)).rows.map(({ id }) => id)).toEqual([ids[2], ids[3]]);
    await tick.close();
  });

  it('an inactive one is not checked, is kept, and comes back within a minute', async () => {
    const [id = ''] = await create({ is_active: false });
    expect(await monitor(id)).toMatchObject({ status: 'inactive' });
    sql.pass(90 * 86_400);
    expect(await tickOf('main')).toEqual([]);
    await call('prune', { p_limit: 1_000 });
    await call('update_monitor', { p_id: id, p_changes: { is_active: true } });
    expect(await monitor(id)).toMatchObject({ status: 'scheduled' });
    sql.pass(60);
    expect(await tickOf('main')).toEqual([id]);
  });

  it('one that is made inactive while it is checked is so when that is over', async () => {
    const [id = ''] = await create({});
    sql.pass(60);
    const tick = sql.tick({ queue: 'monitors', partition: 'main' });
    const { claimId } = await tick.claim();
    await database.sql('update punctual.monitors set is_active = false');
    const result = { verdict: 'down', took_ms: 5 };
    await tick.settle([{ id, claim_id: claimId, outcome: 'again', delay_seconds: 60, result }], {
      close: true,
    });
    expect(await monitor(id)).toMatchObject({ status: 'inactive', state: null });
    expect(await incidents()).toEqual([]);
  });

  it('a tick that dies costs a check a minute at most, however often', async () => {
    const [id = ''] = await create({});
    for (let death = 0; death < 8; death++) {
      sql.pass(60);
      expect((await sql.tick({ queue: 'monitors', partition: 'main' }).claim()).rows).toHaveLength(1);
      sql.pass(100);
      await sql.tick({ queue: 'monitors', partition: 'main' }).exchange({ want: 1, close: true });
      expect(await monitor(id)).toMatchObject({ status: 'scheduled' });
    }
  });
});

describe('states and incidents', () => {
  async function watched(changes: object = {}): Promise<string> {
    const [id = ''] = await create({ interval_seconds: 60, ...changes });
    return id;
  }
  /** One check a minute from main, as the verdicts say: u, g (degraded) or d. Answers the state after each. */
  async function rounds(id: string, verdicts: string): Promise<(string | null)[]> {
    const states = [];
    for (const verdict of verdicts) {
      sql.pass(60);
      await tickOf('main', () =>
        verdict === 'd' ? down() : verdict === 'g' ? { verdict: 'degraded', error: 'slow' } : {},
      );
      states.push((await monitor(id)).state);
    }
    return states;
  }

  it.each([
    ['up at the first good check', 'u', ['up']],
    ['one failure is no incident', 'udu', ['up', 'up', 'up']],
    ['two of three are', 'udd', ['up', 'up', 'down']],
    ['two of three, with a good one between them', 'udud', ['up', 'up', 'up', 'down']],
    ['two of four are not', 'uduud', ['up', 'up', 'up', 'up', 'up']],
    ['up again at the second good check', 'dduu', [null, 'down', 'down', 'up']],
    ['not at one', 'ddud', [null, 'down', 'down', 'down']],
    ['degraded when two say so', 'ugg', ['up', 'up', 'degraded']],
    ['degraded and up again', 'uggugu', ['up', 'up', 'degraded', 'degraded', 'degraded', 'degraded']],
    ['from down to degraded', 'ddggu', [null, 'down', 'down', 'degraded', 'degraded']],
  ])('%s: %s', async (_what, verdicts, states) => {
    expect(await rounds(await watched(), verdicts)).toEqual(states);
  });

  it('n and m are the monitor’s own', async () => {
    expect(await rounds(await watched({ confirm_failures: 1, confirm_checks: 1 }), 'udu')).toEqual([
      'up',
      'down',
      'up',
    ]);
    await database.reset();
    const states = await rounds(await watched({ confirm_failures: 3, confirm_checks: 5 }), 'dudud');
    expect(states).toEqual([null, null, null, null, 'down']);
  });

  it('an incident tells from the first failing check to the first good one', async () => {
    const id = await watched();
    await rounds(id, 'u');
    const before = sql.now;
    await rounds(id, 'ddd');
    expect(await incidents()).toMatchObject([
      { cause: 'it answered 503', regions: ['main'], closed_at: null },
    ]);
    await rounds(id, 'uu');
    const [incident] = await incidents();
    expect(incident).toMatchObject({ seconds: 180, closed_at: expect.any(String) });
    expect(Math.round((Date.parse(incident.started_at) - Date.parse(before)) / 1_000)).toBe(60);
    await rounds(id, 'ddd');
    expect(await incidents()).toHaveLength(2);
    const { items: listed } = await call('list_incidents', { p_open: true });
    expect(listed).toMatchObject([{ monitor: 'site 0', seconds: expect.any(Number), closed_at: null }]);
  });

  it('failures are looked at again soon, and then it goes back to its grid', async () => {
    const id = await watched({ interval_seconds: 3_600 });
    sql.pass(60);
    await tickOf('main', () => down());
    const wait = (Date.parse((await monitor(id)).next_check_at) - Date.parse(sql.now)) / 1_000;
    expect(wait).toBeLessThanOrEqual(20);
    sql.pass(20);
    await tickOf('main', () => down());
    const row = await monitor(id);
    expect(row.state).toBe('down');
    const [{ at }] = await database.sql('select punctual.next_on_grid($1, 3600, $2) as at', [id, sql.now]);
    expect(row.next_check_at).toBe(at);
  });

  it('what is set anew is not judged by what was found before', async () => {
    const id = await watched();
    await rounds(id, 'ud');
    await call('update_monitor', { p_id: id, p_changes: { url: 'https://other.example' } });
    expect(await rounds(id, 'd')).toEqual(['up']);
    expect(await rounds(id, 'd')).toEqual(['down']);
  });

  it('nor by what is being found as it is set', async () => {
    const id = await watched({ confirm_failures: 1, confirm_checks: 1 });
    sql.pass(60);
    const tick = sql.tick({ queue: 'monitors', partition: 'main' });
    const { claimId } = await tick.claim();
    await call('update_monitor', { p_id: id, p_changes: { url: 'https://other.example' } });
    const record = { id, claim_id: claimId, outcome: 'again', delay_seconds: 60, result: down() };
    expect((await tick.settle([record], { close: true })).settled).toMatchObject({ lost: 1 });
    expect(await incidents()).toEqual([]);
    expect(await rounds(id, 'u')).toEqual(['up']);
  });

  it.each([
    ['by an edit', (id: string) => call('update_monitor', { p_id: id, p_changes: { is_active: false } })],
    ['by plain SQL', () => database.sql('update punctual.monitors set is_active = false')],
    [
      'as a row that is cancelled',
      (id: string) =>
        call('resolve_row', {
          p_queue: 'monitors',
          p_id: id,
          p_decision: 'inactive',
          p_by: 'Ann',
          p_note: null,
        }),
    ],
  ])('one that is made inactive %s has its incident closed, and stays so', async (_how, deactivate) => {
    const id = await watched();
    await rounds(id, 'dd');
    await deactivate(id);
    expect(await incidents()).toMatchObject([{ closed_at: expect.any(String) }]);
    await call('update_monitor', { p_id: id, p_changes: { name: 'another' } });
    expect(await monitor(id)).toMatchObject({ status: 'inactive', is_active: false, state: null });
  });

  it.each([
    [2, 4],
    [2, 5],
    [3, 10],
    [1, 3],
  ])('%i of %i: what opened an incident does not open the next', async (n, m) => {
    const id = await watched({ confirm_failures: n, confirm_checks: m });
    await rounds(id, `u${'d'.repeat(n)}${'u'.repeat(n)}`);
    if (n > 1) expect(await rounds(id, 'd')).toEqual(['up']);
    await rounds(id, 'd'.repeat(n));
    const [first, second] = await incidents();
    expect(Date.parse(second.started_at)).toBeGreaterThan(Date.parse(first.ended_at));
  });

  it.each([
    { total_ms: 1.5 },
    { total_ms: 2 ** 40, took_ms: 1e18 },
    { took_ms: -1e9 },
    { took_ms: 'long', status_code: '200', redirects: {} },
    { certificate_expires_at: '+010000-01-01T00:00:00.000Z' },
    { certificate_expires_at: '2026-02-30T00:00:00.000Z' },
    { error: 5, address: ['x'], network: {} },
  ])('%o in a result keeps no check from being written', async (odd) => {
    await watched();
    sql.pass(60);
    await tickOf('main', () => odd as Found);
    const [check] = await database.sql('select verdict, at from punctual.monitor_checks');
    expect(check.verdict).toBe('up');
    expect(Math.abs(Date.parse(check.at) - Date.parse(sql.now))).toBeLessThan(1_000);
  });

  it.each([undefined, null, 'sideways', true, {}])('a verdict of %o is none', async (verdict) => {
    const id = await watched();
    sql.pass(60);
    await tickOf('main', () => ({ verdict }) as Found);
    expect(await monitor(id)).toMatchObject({ status: 'scheduled', state: null });
  });

  it('uptime is the share of checks that found it up or degraded', async () => {
    const id = await watched();
    await rounds(id, 'uuugdddd');
    expect((await call('read_monitor', { p_id: id })).uptime).toEqual({ day: 0.5, week: 0.5, month: 0.5 });
    sql.pass(2 * 86_400);
    await rounds(id, 'uuuu');
    const { uptime } = await call('read_monitor', { p_id: id });
    expect(uptime.day).toBe(1);
    expect(uptime.week).toBeCloseTo(8 / 12, 5);
    sql.pass(29 * 86_400);
    expect((await call('read_monitor', { p_id: id })).uptime).toEqual({ day: null, week: null, month: 1 });
  });

  it('a result twice over is one check', async () => {
    const id = await watched();
    sql.pass(60);
    const tick = sql.tick({ queue: 'monitors', partition: 'main' });
    const { claimId } = await tick.claim();
    const record = {
      id,
      claim_id: claimId,
      outcome: 'again',
      delay_seconds: 60,
      result: { verdict: 'up', took_ms: 5 },
    };
    await tick.settle([record]);
    await tick.settle([record], { close: true });
    expect((await call('read_monitor', { p_id: id })).checks).toHaveLength(1);
  });
});

describe('regions', () => {
  /** A tick of each, so that all are seen. */
  const seen = async (...regions: string[]) => {
    for (const region of regions) await tickOf(region);
  };
  const places = async (column = 'region') =>
    Object.fromEntries(
      (
        await database.sql(
          `select ${column} as place, count(*)::integer as n from punctual.monitors group by 1`,
        )
      ).map(({ place, n }) => [place, n]),
    );

  it('go where they are preferred, and evenly where not, over the healthy ones only', async () => {
    await seen('main', 'fra1');
    await create(
      ...Array.from({ length: 9 }, () => ({})),
      { preferred_region: 'fra1' },
      { preferred_region: 'sin1' },
    );
    await seen('main');
    expect(await places('home_region')).toEqual({ main: 5, fra1: 5, sin1: 1 });
    // sin1 was never seen.
    expect(await places()).toEqual({ main: 6, fra1: 5 });
  });

  it('a region that is new takes its share, and no more is moved than that takes', async () => {
    await seen('main', 'fra1');
    await create(...Array.from({ length: 90 }, () => ({})));
    await seen('main');
    const before = new Map(
      (await database.sql('select id, home_region from punctual.monitors')).map((m) => [m.id, m.home_region]),
    );
    await seen('sin1');
    expect(await places('home_region')).toEqual({ main: 30, fra1: 30, sin1: 30 });
    const after = await database.sql('select id, home_region from punctual.monitors');
    expect(after.filter((m) => before.get(m.id) !== m.home_region)).toHaveLength(30);
  });

  it('a region that is not seen for a while hands its monitors to the default one, and has them back when it returns', async () => {
    await seen('main', 'fra1', 'sin1');
    await create(...Array.from({ length: 30 }, () => ({})));
    await seen('main', 'fra1', 'sin1');
    expect(await places()).toEqual({ main: 10, fra1: 10, sin1: 10 });
    for (let minute = 0; minute < 3; minute++) {
      sql.pass(60);
      await seen('main', 'sin1');
    }
    expect(await places()).toEqual({ main: 10, fra1: 10, sin1: 10 });
    sql.pass(60);
    await seen('main', 'sin1');
    expect(await places()).toEqual({ main: 20, sin1: 10 });
    expect(await call('list_regions')).toMatchObject([
      { name: 'main', is_healthy: true, monitors: 20, homes: 10 },
      {
        name: 'fra1',
        is_healthy: false,
        reason: 'no tick of it was seen for 4 minutes',
        monitors: 0,
        homes: 10,
      },
      { name: 'sin1' },
    ]);
    // They are checked there.
    sql.pass(60);
    expect((await tickOf('main')).length).toBe(20);
    sql.pass(60);
    await seen('fra1');
    expect(await places()).toEqual({ main: 10, fra1: 10, sin1: 10 });
  });

  it('rows of a tick that died in a region that is gone are found by the others', async () => {
    await seen('main', 'fra1');
    const [id = ''] = await create({ preferred_region: 'fra1' });
    sql.pass(60);
    await sql.tick({ queue: 'monitors', partition: 'fra1' }).claim();
    for (let minute = 0; minute < 6; minute++) {
      sql.pass(60);
      await seen('main');
    }
    expect(await monitor(id)).toMatchObject({ region: 'main', status: 'scheduled', state: 'up' });
  });

  it('when the default region is not seen, its monitors go to another', async () => {
    await seen('main', 'fra1');
    const [id = ''] = await create({ preferred_region: 'main' });
    sql.pass(600);
    await seen('fra1');
    expect(await monitor(id)).toMatchObject({ region: 'fra1', home_region: 'main' });
    await seen('main');
    expect(await monitor(id)).toMatchObject({ region: 'main' });
  });

  it('one that may only be checked from some places goes to no other', async () => {
    await seen('main', 'fra1', 'sin1');
    const [id = ''] = await create({ only_regions: ['fra1', 'sin1'] });
    await seen('main');
    const home = (await monitor(id)).home_region;
    expect(['fra1', 'sin1']).toContain(home);
    sql.pass(600);
    await seen('main', home === 'fra1' ? 'sin1' : 'fra1');
    expect((await monitor(id)).region).not.toBe(home);
    sql.pass(600);
    await seen('main');
    expect(['fra1', 'sin1']).toContain((await monitor(id)).region);
  });

  it('nor when that is said later, or one of them is removed', async () => {
    await seen('main', 'fra1');
    const [id = ''] = await create({});
    await call('update_monitor', { p_id: id, p_changes: { only_regions: ['fra1', 'sin1'] } });
    sql.pass(600);
    expect(await tickOf('main')).toEqual([]);
    await database.rpc('remove_region', { p_name: 'fra1' });
    sql.pass(600);
    expect(await tickOf('main')).toEqual([]);
    expect(await monitor(id)).toMatchObject({ only_regions: ['sin1'], region: 'sin1' });
  });

  it('a paused region checks nothing, and others do for it', async () => {
    await seen('main', 'fra1');
    const [id = ''] = await create({ preferred_region: 'fra1' });
    await database.sql(`update punctual.partitions set paused_at = $1 where partition = 'fra1'`, [sql.now]);
    await seen('main');
    expect(await monitor(id)).toMatchObject({ region: 'main' });
  });

  it('failures are confirmed from another region at once, and n of them have to agree', async () => {
    await seen('main', 'fra1', 'sin1');
    const [id = ''] = await create({ preferred_region: 'fra1' });
    sql.pass(60);
    await tickOf('fra1', () => down());
    const suspect = await monitor(id);
    expect(suspect).toMatchObject({
      state: null,
      suspect_since: expect.any(String),
      next_check_at: expect.any(String),
    });
    expect(suspect.region).not.toBe('fra1');
    expect(Date.parse(suspect.next_check_at)).toBeLessThanOrEqual(Date.parse(sql.now));
    await tickOf(suspect.region, () => down());
    expect(await monitor(id)).toMatchObject({ state: 'down', region: 'fra1', suspect_since: null });
    expect(await incidents()).toMatchObject([{ regions: ['fra1', suspect.region].sort() }]);
  });

  it('what fails from one region only is degraded, and no incident', async () => {
    await seen('main', 'fra1');
    const [id = ''] = await create({ preferred_region: 'fra1' });
    const states = [];
    for (let round = 0; round < 12; round++) {
      sql.pass(60);
      await tickOf('main');
      await tickOf('fra1', () => down());
      states.push((await monitor(id)).state);
    }
    expect(states).not.toContain('down');
    expect(states).toContain('degraded');
    expect(await incidents()).toEqual([]);
  });

  it('one that fails from one region only is not asked without end', async () => {
    await seen('main', 'fra1');
    await create({ preferred_region: 'fra1', interval_seconds: 3_600 });
    let checks = 0;
    for (let second = 0; second < 300; second += 5) {
      sql.pass(5);
      checks += (await tickOf('main')).length + (await tickOf('fra1', () => down())).length;
    }
    expect(checks).toBeLessThan(10);
  });

  it('an incident closes though its home region goes on failing, once others say so', async () => {
    await seen('main', 'fra1', 'sin1');
    const [id = ''] = await create({ preferred_region: 'fra1' });
    const minute = async (elsewhere: Found) => {
      sql.pass(60);
      await tickOf('fra1', () => down());
      await tickOf('main', () => elsewhere);
      await tickOf('sin1', () => elsewhere);
    };
    await minute(down());
    expect(await monitor(id)).toMatchObject({ state: 'down' });
    for (let n = 0; n < 6; n++) await minute({});
    expect((await incidents()).filter((incident) => incident.closed_at !== null)).toHaveLength(1);
  });

  it('a region that was just seen is asked, and not one that may be gone', async () => {
    await seen('fra1');
    sql.pass(100);
    await seen('main', 'sin1');
    const [id = ''] = await create({ preferred_region: 'main' });
    sql.pass(60);
    await tickOf('main', () => down());
    expect(await monitor(id)).toMatchObject({ region: 'sin1' });
  });

  it('canaries that are gone hide no dead site where the others answer', async () => {
    const [dead] = await create(...Array.from({ length: 20 }, () => ({})));
    for (let minute = 0; minute < 4; minute++) {
      sql.pass(60);
      await tickOf('main', (row) => (String(row.id) === dead ? { ...down(), network: 'broken' } : {}));
    }
    expect(await incidents()).toMatchObject([{ monitor_id: Number(dead) }]);
    expect((await call('list_regions'))[0]).toMatchObject({ name: 'main', is_healthy: true });
  });

  it('a region whose canaries do not answer opens no incident, and others take its monitors over', async () => {
    await seen('main', 'fra1');
    const ids = await create(...Array.from({ length: 10 }, () => ({ preferred_region: 'fra1' })));
    sql.pass(60);
    const broken = { ...down('no route to host'), network: 'broken' };
    await tickOf('fra1', () => broken);
    expect((await call('list_regions')).find(({ name }: { name: string }) => name === 'fra1')).toMatchObject({
      is_healthy: false,
      reason: 'none of its canaries answers: its network is broken',
      monitors: 0,
    });
    expect((await tickOf('main')).sort()).toEqual([...ids].sort());
    const { checks, uptime, state } = await call('read_monitor', { p_id: ids[0] });
    expect(checks).toMatchObject([
      { region: 'main', counted: true },
      { region: 'fra1', counted: false },
    ]);
    expect({ uptime: uptime.day, state }).toEqual({ uptime: 1, state: 'up' });
    for (let minute = 0; minute < 20; minute++) {
      sql.pass(60);
      await seen('main');
      await tickOf('fra1', () => broken);
    }
    expect(await incidents()).toEqual([]);
  });

  it('where there is but one region, and its network is broken, nothing is said of the sites', async () => {
    const [id = ''] = await create({});
    for (let minute = 0; minute < 10; minute++) {
      sql.pass(60);
      expect(await tickOf('main', () => ({ ...down(), network: 'broken' }))).toEqual([id]);
    }
    expect(await monitor(id)).toMatchObject({ state: null });
    expect(await incidents()).toEqual([]);
    // A canary that answers ends it.
    sql.pass(60);
    await tickOf('main', () => ({ ...down(), network: 'ok' }));
    expect((await call('list_regions'))[0]).toMatchObject({ name: 'main', is_healthy: true });
    sql.pass(60);
    await tickOf('main', () => ({ ...down(), network: 'ok' }));
    expect(await monitor(id)).toMatchObject({ state: 'down' });
  });

  it('are added, changed and removed', async () => {
    expect(await call('save_region', { p_region: { name: 'office', unseen_seconds: 60 } })).toMatchObject({
      name: 'office',
      is_healthy: false,
      reason: 'no tick of it was ever seen',
    });
    await seen('main', 'office');
    const [id = ''] = await create({ preferred_region: 'office' });
    await expect(database.rpc('remove_region', { p_name: 'main' })).rejects.toMatchObject({ code: 'PT409' });
    await expect(database.rpc('remove_region', { p_name: 'nowhere' })).rejects.toMatchObject({
      code: 'PT404',
    });
    expect(await database.rpc('remove_region', { p_name: 'office' })).toEqual({ name: 'office', moved: 1 });
    sql.pass(60);
    expect(await tickOf('main')).toEqual([id]);
    await create({ only_regions: ['sin1'] });
    await expect(database.rpc('remove_region', { p_name: 'sin1' })).rejects.toMatchObject({
      code: 'PT409',
      message: expect.stringContaining('the monitor "site 0" may be checked from sin1 only'),
    });
    await call('save_region', { p_region: { name: 'fra1', is_default: true } });
    expect(await call('list_regions')).toMatchObject([
      { name: 'fra1', is_default: true },
      { name: 'main', is_default: false },
      {},
    ]);
  });
});

describe('what people ask', () => {
  it('creates all or none, and each key once', async () => {
    const good = { name: 'a', url: 'https://a.example', idempotency_key: 'k' };
    const first = await call('create_monitors', { p_rows: [good] });
    expect(first.rows).toMatchObject([{ created: true, status: 'scheduled' }]);
    expect((await call('create_monitors', { p_rows: [good] })).rows).toEqual([
      { ...first.rows[0], created: false },
    ]);
    const faulty = [
      { name: 'b', url: 'https://b.example' },
      { name: 'b', url: 'https://b.example', preferred_region: 'mars', timeout_ms: 29_000 },
      {
        name: 'c',
        url: 'https://c.example',
        only_regions: ['fra1'],
        preferred_region: 'sin1',
        confirm_failures: 4,
      },
      { ...good, interval_seconds: 90 },
    ];
    expect((await call('create_monitors', { p_rows: faulty })).errors).toMatchObject([
      {
        index: 1,
        field: 'preferred_region',
        message: 'there is no region "mars"; there is fra1, main, sin1',
      },
      { index: 1, field: 'timeout_ms', message: expect.stringContaining('10000') },
      { index: 2, field: 'confirm_failures' },
      { index: 2, field: 'preferred_region', message: 'is none of only_regions' },
      { index: 3, field: 'idempotency_key' },
    ]);
    expect(await database.sql('select name from punctual.monitors')).toEqual([{ name: 'a' }]);
  });

  it('shows of headers the names only', async () => {
    const [id] = await create({ headers: { authorization: 'Bearer secret' } });
    const shown = await call('read_monitor', { p_id: id });
    expect(shown.headers).toEqual({ authorization: '***' });
    expect(JSON.stringify(shown)).not.toContain('secret');
    expect(JSON.stringify(await call('read_monitoring'))).not.toContain('secret');
    const { items } = await call('list_rows', { p_queue: 'monitors', p_state: 'scheduled', p_limit: 10 });
    const [listed] = items;
    expect(listed.row).toMatchObject({ name: 'site 0' });
    expect(listed.row).not.toHaveProperty('headers');
  });

  it('lists by state, in pages', async () => {
    const ids = await create({}, {}, {}, { is_active: false });
    sql.pass(60);
    await tickOf('main', (row) => (String(row.id) === ids[1] ? down() : {}));
    const page = await call('list_monitors', { p_state: 'up', p_limit: 1 });
    expect(page).toMatchObject({ items: [{ id: ids[0], last: { verdict: 'up' } }], next: [Number(ids[0])] });
    expect(await call('list_monitors', { p_state: 'up', p_cursor: page.next, p_limit: 1 })).toMatchObject({
      items: [{ id: ids[2] }],
      next: null,
    });
    expect((await call('list_monitors', { p_state: 'inactive' })).items).toMatchObject([{ id: ids[3] }]);
    expect((await call('list_monitors', { p_state: 'new' })).items).toMatchObject([
      { id: ids[1], suspect: true },
    ]);
    expect(await call('read_monitoring')).toMatchObject({
      counts: { up: 2, degraded: 0, down: 0, new: 1, inactive: 1 },
      monitors: [{ id: ids[1] }, { id: ids[0] }, { id: ids[2] }, { id: ids[3] }],
    });
  });

  it('refuses ids of no monitor', async () => {
    for (const p_id of ['99', 'x']) {
      expect(await call('read_monitor', { p_id })).toBeNull();
      await expect(call('update_monitor', { p_id, p_changes: {} })).rejects.toMatchObject({ code: 'PT404' });
      await expect(database.rpc('delete_monitor', { p_id })).rejects.toMatchObject({ code: 'PT404' });
    }
  });

  it('deletes a monitor with all that was found', async () => {
    const [id] = await create({});
    sql.pass(60);
    await tickOf('main');
    expect(await database.rpc('delete_monitor', { p_id: id })).toEqual({ id });
    expect(await database.sql('select from punctual.monitor_checks')).toEqual([]);
  });
});

import { describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);

/** The result of a check. Its verdict is `up` by default. */
type CheckResult = { verdict?: string; network?: string | null; [field: string]: unknown };

const call = (fn: string, args: object = {}) =>
  // biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
  database.rpc(fn, { ...args, p_now: sql.now }) as Promise<any>;

async function create(...changes: object[]): Promise<string[]> {
  const rows = changes.map((change, n) => ({
    name: `site ${n}`,
    url: `https://site-${n}.example`,
    ...change,
  }));
  const response = await call('create_monitors', { p_rows: rows });
  if (response.errors) throw new Error(JSON.stringify(response.errors));
  return response.rows.map((row: { id: string }) => row.id);
}

async function monitor(id: string) {
  const [row] = await database.sql('select * from punctual.monitors where id = $1', [id]);
  return row;
}
const incidents = () =>
  database.sql(
    `select i.*, extract(epoch from i.ended_at - i.started_at)::integer as seconds from punctual.incidents i order by i.id`,
  );

/** Runs one tick of a region, in which `check` gives the result of each due monitor. Returns the checked ids. */
async function tickOf(
  region: string,
  check: (row: { id: string; region: string }) => CheckResult = () => ({}),
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
      ...check(row),
    },
  }));
  await tick.settle(records, { close: true });
  return rows.map(({ id }) => id);
}
const down = (error = 'it answered 503'): CheckResult => ({ verdict: 'down', error, status_code: 503 });

describe('due times of monitors', () => {
  it('a monitor is first due within 1 minute of its creation, then on a grid of its own', async () => {
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
    // The due times spread over the whole interval.
    const fifths = new Set(next.map((at) => Math.floor((at % 300_000) / 60_000)));
    expect(fifths.size).toBe(5);
  });

  it('1,000 monitors of one interval are due at different instants, outside the seconds in which minute schedules fire', async () => {
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
    'every %i s: the next due time is later, by one interval at most',
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

  it('every tick of a one-minute schedule that is up to 10 s late checks a monitor of 60 s', async () => {
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

  it('a late tick checks each monitor once and skips the missed checks', async () => {
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

  it('a check that runs past the next due time does not skip it', async () => {
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

  it('critical monitors are claimed first, however long others have waited', async () => {
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

  it('an inactive monitor is kept but not checked, and is due within 1 minute once it is active again', async () => {
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

  it('a monitor that is deactivated during its check is inactive once the check is settled', async () => {
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

  it('a monitor is due within 1 minute of each sweep, however many ticks die', async () => {
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
  async function addMonitor(changes: object = {}): Promise<string> {
    const [id = ''] = await create({ interval_seconds: 60, ...changes });
    return id;
  }
  /** Runs one check a minute from main for each letter: u (up), g (degraded) or d (down). Returns the state after each. */
  async function runChecks(id: string, verdicts: string): Promise<(string | null)[]> {
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
    ['is up after the first good check', 'u', ['up']],
    ['one failure is not down', 'udu', ['up', 'up', 'up']],
    ['two failures of three are down', 'udd', ['up', 'up', 'down']],
    ['two failures of three are down, with a good check between them', 'udud', ['up', 'up', 'up', 'down']],
    ['two failures of four are not down', 'uduud', ['up', 'up', 'up', 'up', 'up']],
    ['is up again after the second good check', 'dduu', [null, 'down', 'down', 'up']],
    ['is still down after one good check', 'ddud', [null, 'down', 'down', 'down']],
    ['is degraded after two degraded checks', 'ugg', ['up', 'up', 'degraded']],
    [
      'is still degraded while every other check is degraded',
      'uggugu',
      ['up', 'up', 'degraded', 'degraded', 'degraded', 'degraded'],
    ],
    ['is degraded after being down', 'ddggu', [null, 'down', 'down', 'degraded', 'degraded']],
  ])('%s: %s', async (_case, verdicts, states) => {
    expect(await runChecks(await addMonitor(), verdicts)).toEqual(states);
  });

  it('each monitor has its own confirm_failures and confirm_checks', async () => {
    expect(await runChecks(await addMonitor({ confirm_failures: 1, confirm_checks: 1 }), 'udu')).toEqual([
      'up',
      'down',
      'up',
    ]);
    await database.reset();
    const states = await runChecks(await addMonitor({ confirm_failures: 3, confirm_checks: 5 }), 'dudud');
    expect(states).toEqual([null, null, null, null, 'down']);
  });

  it('an incident lasts from the first failing check to the first good one', async () => {
    const id = await addMonitor();
    await runChecks(id, 'u');
    const before = sql.now;
    await runChecks(id, 'ddd');
    expect(await incidents()).toMatchObject([
      { cause: 'it answered 503', regions: ['main'], closed_at: null },
    ]);
    await runChecks(id, 'uu');
    const [incident] = await incidents();
    expect(incident).toMatchObject({ seconds: 180, closed_at: expect.any(String) });
    expect(Math.round((Date.parse(incident.started_at) - Date.parse(before)) / 1_000)).toBe(60);
    await runChecks(id, 'ddd');
    expect(await incidents()).toHaveLength(2);
    const { items: listed } = await call('list_incidents', { p_open: true });
    expect(listed).toMatchObject([{ monitor: 'site 0', seconds: expect.any(Number), closed_at: null }]);
  });

  it('a failure is checked again within 20 s, then the monitor returns to its grid', async () => {
    const id = await addMonitor({ interval_seconds: 3_600 });
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

  it('a changed URL discards earlier results', async () => {
    const id = await addMonitor();
    await runChecks(id, 'ud');
    await call('update_monitor', { p_id: id, p_changes: { url: 'https://other.example' } });
    expect(await runChecks(id, 'd')).toEqual(['up']);
    expect(await runChecks(id, 'd')).toEqual(['down']);
  });

  it('a changed URL discards the result of a check under way', async () => {
    const id = await addMonitor({ confirm_failures: 1, confirm_checks: 1 });
    sql.pass(60);
    const tick = sql.tick({ queue: 'monitors', partition: 'main' });
    const { claimId } = await tick.claim();
    await call('update_monitor', { p_id: id, p_changes: { url: 'https://other.example' } });
    const record = { id, claim_id: claimId, outcome: 'again', delay_seconds: 60, result: down() };
    expect((await tick.settle([record], { close: true })).settled).toMatchObject({ lost: 1 });
    expect(await incidents()).toEqual([]);
    expect(await runChecks(id, 'u')).toEqual(['up']);
  });

  it.each([
    ['with an edit', (id: string) => call('update_monitor', { p_id: id, p_changes: { is_active: false } })],
    ['with plain SQL', () => database.sql('update punctual.monitors set is_active = false')],
    [
      'with an operator’s decision',
      (id: string) =>
        call('resolve_row', {
          p_queue: 'monitors',
          p_id: id,
          p_decision: 'inactive',
          p_by: 'Ann',
          p_note: null,
        }),
    ],
  ])('deactivating a monitor %s closes its incident, and it stays inactive', async (_method, deactivate) => {
    const id = await addMonitor();
    await runChecks(id, 'dd');
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
  ])('%i of %i: checks that opened an incident do not open the next', async (n, m) => {
    const id = await addMonitor({ confirm_failures: n, confirm_checks: m });
    await runChecks(id, `u${'d'.repeat(n)}${'u'.repeat(n)}`);
    if (n > 1) expect(await runChecks(id, 'd')).toEqual(['up']);
    await runChecks(id, 'd'.repeat(n));
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
  ])('%o in a result does not prevent the check from being stored', async (odd) => {
    await addMonitor();
    sql.pass(60);
    await tickOf('main', () => odd as CheckResult);
    const [check] = await database.sql('select verdict, at from punctual.monitor_checks');
    expect(check.verdict).toBe('up');
    expect(Math.abs(Date.parse(check.at) - Date.parse(sql.now))).toBeLessThan(1_000);
  });

  it.each([undefined, null, 'sideways', true, {}])('a verdict of %o sets no state', async (verdict) => {
    const id = await addMonitor();
    sql.pass(60);
    await tickOf('main', () => ({ verdict }) as CheckResult);
    expect(await monitor(id)).toMatchObject({ status: 'scheduled', state: null });
  });

  it('uptime is the share of checks with the verdict up or degraded', async () => {
    const id = await addMonitor();
    await runChecks(id, 'uuugdddd');
    expect((await call('read_monitor', { p_id: id })).uptime).toEqual({ day: 0.5, week: 0.5, month: 0.5 });
    sql.pass(2 * 86_400);
    await runChecks(id, 'uuuu');
    const { uptime } = await call('read_monitor', { p_id: id });
    expect(uptime.day).toBe(1);
    expect(uptime.week).toBeCloseTo(8 / 12, 5);
    sql.pass(29 * 86_400);
    expect((await call('read_monitor', { p_id: id })).uptime).toEqual({ day: null, week: null, month: 1 });
  });

  it('a result that is settled twice is stored as one check', async () => {
    const id = await addMonitor();
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
  /** Runs a tick of each region, so that each counts as seen. */
  const tickEach = async (...regions: string[]) => {
    for (const region of regions) await tickOf(region);
  };
  const countMonitors = async (column = 'region') =>
    Object.fromEntries(
      (
        await database.sql(
          `select ${column} as place, count(*)::integer as n from punctual.monitors group by 1`,
        )
      ).map(({ place, n }) => [place, n]),
    );

  it('monitors go to their preferred region or are spread evenly, over healthy regions only', async () => {
    await tickEach('main', 'fra1');
    await create(
      ...Array.from({ length: 9 }, () => ({})),
      { preferred_region: 'fra1' },
      { preferred_region: 'sin1' },
    );
    await tickEach('main');
    expect(await countMonitors('home_region')).toEqual({ main: 5, fra1: 5, sin1: 1 });
    // sin1 never had a tick.
    expect(await countMonitors()).toEqual({ main: 6, fra1: 5 });
  });

  it('a new region takes its share, and no other monitors move', async () => {
    await tickEach('main', 'fra1');
    await create(...Array.from({ length: 90 }, () => ({})));
    await tickEach('main');
    const before = new Map(
      (await database.sql('select id, home_region from punctual.monitors')).map((m) => [m.id, m.home_region]),
    );
    await tickEach('sin1');
    expect(await countMonitors('home_region')).toEqual({ main: 30, fra1: 30, sin1: 30 });
    const after = await database.sql('select id, home_region from punctual.monitors');
    expect(after.filter((m) => before.get(m.id) !== m.home_region)).toHaveLength(30);
  });

  it('a region not seen for over 3 minutes hands its monitors to the default region, and gets them back when it returns', async () => {
    await tickEach('main', 'fra1', 'sin1');
    await create(...Array.from({ length: 30 }, () => ({})));
    await tickEach('main', 'fra1', 'sin1');
    expect(await countMonitors()).toEqual({ main: 10, fra1: 10, sin1: 10 });
    for (let minute = 0; minute < 3; minute++) {
      sql.pass(60);
      await tickEach('main', 'sin1');
    }
    expect(await countMonitors()).toEqual({ main: 10, fra1: 10, sin1: 10 });
    sql.pass(60);
    await tickEach('main', 'sin1');
    expect(await countMonitors()).toEqual({ main: 20, sin1: 10 });
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
    // The default region checks them.
    sql.pass(60);
    expect((await tickOf('main')).length).toBe(20);
    sql.pass(60);
    await tickEach('fra1');
    expect(await countMonitors()).toEqual({ main: 10, fra1: 10, sin1: 10 });
  });

  it('other regions sweep the rows of a tick that died in a region no longer seen', async () => {
    await tickEach('main', 'fra1');
    const [id = ''] = await create({ preferred_region: 'fra1' });
    sql.pass(60);
    await sql.tick({ queue: 'monitors', partition: 'fra1' }).claim();
    for (let minute = 0; minute < 6; minute++) {
      sql.pass(60);
      await tickEach('main');
    }
    expect(await monitor(id)).toMatchObject({ region: 'main', status: 'scheduled', state: 'up' });
  });

  it('monitors of the default region go to another region while it is not seen', async () => {
    await tickEach('main', 'fra1');
    const [id = ''] = await create({ preferred_region: 'main' });
    sql.pass(600);
    await tickEach('fra1');
    expect(await monitor(id)).toMatchObject({ region: 'fra1', home_region: 'main' });
    await tickEach('main');
    expect(await monitor(id)).toMatchObject({ region: 'main' });
  });

  it('a monitor with only_regions goes to no other region', async () => {
    await tickEach('main', 'fra1', 'sin1');
    const [id = ''] = await create({ only_regions: ['fra1', 'sin1'] });
    await tickEach('main');
    const home = (await monitor(id)).home_region;
    expect(['fra1', 'sin1']).toContain(home);
    sql.pass(600);
    await tickEach('main', home === 'fra1' ? 'sin1' : 'fra1');
    expect((await monitor(id)).region).not.toBe(home);
    sql.pass(600);
    await tickEach('main');
    expect(['fra1', 'sin1']).toContain((await monitor(id)).region);
  });

  it('a monitor goes to no other region when only_regions is set later or one of them is removed', async () => {
    await tickEach('main', 'fra1');
    const [id = ''] = await create({});
    await call('update_monitor', { p_id: id, p_changes: { only_regions: ['fra1', 'sin1'] } });
    sql.pass(600);
    expect(await tickOf('main')).toEqual([]);
    await database.rpc('remove_region', { p_name: 'fra1' });
    sql.pass(600);
    expect(await tickOf('main')).toEqual([]);
    expect(await monitor(id)).toMatchObject({ only_regions: ['sin1'], region: 'sin1' });
  });

  it('another region takes over the monitors of a paused region', async () => {
    await tickEach('main', 'fra1');
    const [id = ''] = await create({ preferred_region: 'fra1' });
    await database.sql(`update punctual.partitions set paused_at = $1 where partition = 'fra1'`, [sql.now]);
    await tickEach('main');
    expect(await monitor(id)).toMatchObject({ region: 'main' });
  });

  it('a failure is checked from another region at once, and confirm_failures regions have to agree', async () => {
    await tickEach('main', 'fra1', 'sin1');
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

  it('a site that fails from one region only is degraded, and opens no incident', async () => {
    await tickEach('main', 'fra1');
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

  it('a site that fails from one region only is not checked again endlessly', async () => {
    await tickEach('main', 'fra1');
    await create({ preferred_region: 'fra1', interval_seconds: 3_600 });
    let checks = 0;
    for (let second = 0; second < 300; second += 5) {
      sql.pass(5);
      checks += (await tickOf('main')).length + (await tickOf('fra1', () => down())).length;
    }
    expect(checks).toBeLessThan(10);
  });

  it('an incident closes once other regions find the site up, even if the home region keeps failing', async () => {
    await tickEach('main', 'fra1', 'sin1');
    const [id = ''] = await create({ preferred_region: 'fra1' });
    const runMinute = async (elsewhere: CheckResult) => {
      sql.pass(60);
      await tickOf('fra1', () => down());
      await tickOf('main', () => elsewhere);
      await tickOf('sin1', () => elsewhere);
    };
    await runMinute(down());
    expect(await monitor(id)).toMatchObject({ state: 'down' });
    for (let n = 0; n < 6; n++) await runMinute({});
    expect((await incidents()).filter((incident) => incident.closed_at !== null)).toHaveLength(1);
  });

  it('a region seen recently confirms a failure, not one that may be gone', async () => {
    await tickEach('fra1');
    sql.pass(100);
    await tickEach('main', 'sin1');
    const [id = ''] = await create({ preferred_region: 'main' });
    sql.pass(60);
    await tickOf('main', () => down());
    expect(await monitor(id)).toMatchObject({ region: 'sin1' });
  });

  it('failing canaries do not hide a dead site while other sites answer', async () => {
    const [dead] = await create(...Array.from({ length: 20 }, () => ({})));
    for (let minute = 0; minute < 4; minute++) {
      sql.pass(60);
      await tickOf('main', (row) => (String(row.id) === dead ? { ...down(), network: 'broken' } : {}));
    }
    expect(await incidents()).toMatchObject([{ monitor_id: Number(dead) }]);
    expect((await call('list_regions'))[0]).toMatchObject({ name: 'main', is_healthy: true });
  });

  it('a region whose canaries all fail opens no incident, and other regions take over its monitors', async () => {
    await tickEach('main', 'fra1');
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
      await tickEach('main');
      await tickOf('fra1', () => broken);
    }
    expect(await incidents()).toEqual([]);
  });

  it('the only region judges no site while its network is broken', async () => {
    const [id = ''] = await create({});
    for (let minute = 0; minute < 10; minute++) {
      sql.pass(60);
      expect(await tickOf('main', () => ({ ...down(), network: 'broken' }))).toEqual([id]);
    }
    expect(await monitor(id)).toMatchObject({ state: null });
    expect(await incidents()).toEqual([]);
    // One canary that answers ends this.
    sql.pass(60);
    await tickOf('main', () => ({ ...down(), network: 'ok' }));
    expect((await call('list_regions'))[0]).toMatchObject({ name: 'main', is_healthy: true });
    sql.pass(60);
    await tickOf('main', () => ({ ...down(), network: 'ok' }));
    expect(await monitor(id)).toMatchObject({ state: 'down' });
  });

  it('regions are added, changed and removed', async () => {
    expect(await call('save_region', { p_region: { name: 'office', unseen_seconds: 60 } })).toMatchObject({
      name: 'office',
      is_healthy: false,
      reason: 'no tick of it was ever seen',
    });
    await tickEach('main', 'office');
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

describe('managing monitors', () => {
  it('creates all monitors of a call or none, and one for each idempotency key', async () => {
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

  it('shows only the names of headers', async () => {
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

  it('lists monitors by state, in pages', async () => {
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

  it('refuses unknown ids', async () => {
    for (const p_id of ['99', 'x']) {
      expect(await call('read_monitor', { p_id })).toBeNull();
      await expect(call('update_monitor', { p_id, p_changes: {} })).rejects.toMatchObject({ code: 'PT404' });
      await expect(database.rpc('delete_monitor', { p_id })).rejects.toMatchObject({ code: 'PT404' });
    }
  });

  it('deletes a monitor together with its checks', async () => {
    const [id] = await create({});
    sql.pass(60);
    await tickOf('main');
    expect(await database.rpc('delete_monitor', { p_id: id })).toEqual({ id });
    expect(await database.sql('select from punctual.monitor_checks')).toEqual([]);
  });
});

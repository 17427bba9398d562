import { describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';
import { type CheckResult, down, monitoring } from '../support/monitoring.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
const bench = monitoring(database, sql);
const { call, create, monitor, incidents } = bench;

const update = (id: string, p_changes: object) => call('update_monitor', { p_id: id, p_changes });
const deactivateBySql = () => database.sql('update punctual.monitors set is_active = false');
const secondsUntil = (at: string) => (Date.parse(at) - Date.parse(sql.now)) / 1_000;

describe('due times of monitors', () => {
  it('a monitor is first due within 1 minute of its creation, then on a grid of its own', async () => {
    await create(...Array.from({ length: 50 }, () => ({ interval_seconds: 300 })));
    const dueTimes = async () =>
      (await database.sql('select next_check_at as at from punctual.monitors')).map(({ at }) => at);
    const waits = (await dueTimes()).map(secondsUntil);
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...waits)).toBeLessThan(60);
    sql.pass(61);
    expect(await bench.tickOf()).toHaveLength(50);
    const next = (await dueTimes()).map(Date.parse);
    expect(new Set(next).size).toBe(50);
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
    const start = Date.parse(sql.now);
    for (let minute = 1; minute <= 12; minute++) {
      sql.setNow(new Date(start + minute * 60_000 + ((minute * 7_919) % 10_000)).toISOString());
      expect(await bench.tickOf()).toHaveLength(ids.length);
    }
  });

  it('a late tick checks each monitor once and skips the missed checks', async () => {
    const [id = ''] = await create({});
    sql.pass(60);
    await bench.tickOf();
    const { next_check_at: due } = await monitor(id);
    sql.pass(3_600);
    expect(await bench.tickOf()).toEqual([id]);
    expect(await bench.tickOf()).toEqual([]);
    const row = await monitor(id);
    expect(row.last_scheduled_at).toBe(due);
    expect((Date.parse(row.next_check_at) - Date.parse(due)) % 60_000).toBe(0);
  });

  it('a check that runs past the next due time does not skip it', async () => {
    const [id = ''] = await create({ interval_seconds: 10 });
    sql.pass(60);
    const { settle } = await bench.claim();
    sql.pass(12);
    await settle(() => ({ total_ms: 12_000, took_ms: 12_000 }));
    expect(secondsUntil((await monitor(id)).next_check_at)).toBeLessThanOrEqual(0);
    expect(await bench.tickOf()).toEqual([id]);
  });

  it('critical monitors are claimed first, however long others have waited', async () => {
    const levels = ['low', 'normal', 'critical', 'high'];
    const ids = await create(...levels.map((criticality) => ({ criticality })));
    sql.pass(120);
    await database.sql(
      `update punctual.monitors set next_check_at = next_check_at - interval '1 hour' where criticality in ('low', 'normal')`,
    );
    expect((await bench.claim('main', 2)).ids).toEqual([ids[2], ids[3]]);
  });

  it('an inactive monitor is kept but not checked, and is due within 1 minute once it is active again', async () => {
    const [id = ''] = await create({ is_active: false });
    expect(await monitor(id)).toMatchObject({ status: 'inactive' });
    sql.pass(90 * 86_400);
    expect(await bench.tickOf()).toEqual([]);
    await call('prune', { p_limit: 1_000 });
    await update(id, { is_active: true });
    expect(await monitor(id)).toMatchObject({ status: 'scheduled' });
    sql.pass(60);
    expect(await bench.tickOf()).toEqual([id]);
  });

  it('a monitor that is deactivated during its check is inactive once the check is settled', async () => {
    const [id = ''] = await create({});
    sql.pass(60);
    const { settle } = await bench.claim();
    await deactivateBySql();
    await settle(() => down());
    expect(await monitor(id)).toMatchObject({ status: 'inactive', state: null });
    expect(await incidents()).toEqual([]);
  });

  it('a monitor is due within 1 minute of each sweep, however many ticks die', async () => {
    const [id = ''] = await create({});
    for (let death = 0; death < 8; death++) {
      sql.pass(60);
      expect((await bench.claim()).ids).toEqual([id]);
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
  const results: Record<string, CheckResult> = {
    u: {},
    g: { verdict: 'degraded', error: 'slow' },
    d: down(),
  };
  const letters: Record<string, string> = { up: 'u', degraded: 'g', down: 'd' };
  /** Runs one check a minute from main for each letter: u (up), g (degraded) or d (down). Returns the state after each, or `-`. */
  async function runChecks(id: string, verdicts: string): Promise<string> {
    let states = '';
    for (const verdict of verdicts) {
      sql.pass(60);
      await bench.tickOf('main', () => results[verdict] ?? {});
      states += letters[(await monitor(id)).state] ?? '-';
    }
    return states;
  }

  it.each([
    ['is up after the first good check', 'u', 'u'],
    ['is not down after one failure', 'udu', 'uuu'],
    ['is down after two failures of three', 'udd', 'uud'],
    ['is down after two failures of three, with a good check between them', 'udud', 'uuud'],
    ['is not down after two failures of four', 'uduud', 'uuuuu'],
    ['is up again after the second good check', 'dduu', '-ddu'],
    ['is still down after one good check', 'ddud', '-ddd'],
    ['is degraded after two degraded checks', 'ugg', 'uug'],
    ['is still degraded while every other check is degraded', 'uggugu', 'uugggg'],
    ['is degraded after being down', 'ddggu', '-ddgg'],
    ['has its own confirm_failures: 1', 'udu', 'udu', { confirm_failures: 1, confirm_checks: 1 }],
    ['has its own confirm_failures: 3', 'dudud', '----d', { confirm_failures: 3, confirm_checks: 5 }],
  ])('a monitor %s: %s', async (_case, verdicts, states, changes: object = {}) => {
    expect(await runChecks(await addMonitor(changes), verdicts)).toBe(states);
  });

  it('an incident lasts from the first failing check to the first good one', async () => {
    const id = await addMonitor();
    await runChecks(id, 'u');
    const before = sql.now;
    await runChecks(id, 'ddd');
    const open = { cause: 'it answered 503', regions: ['main'], closed_at: null };
    expect(await incidents()).toMatchObject([open]);
    await runChecks(id, 'uu');
    const [incident] = await incidents();
    expect(incident).toMatchObject({ seconds: 180, closed_at: expect.any(String) });
    expect(Math.round((Date.parse(incident.started_at) - Date.parse(before)) / 1_000)).toBe(60);
    await runChecks(id, 'ddd');
    expect(await incidents()).toHaveLength(2);
    expect((await call('list_incidents', { p_open: true })).items).toMatchObject([
      { monitor: 'site 0', seconds: expect.any(Number), closed_at: null },
    ]);
  });

  it('a failure is checked again within 20 s, then the monitor returns to its grid', async () => {
    const id = await addMonitor({ interval_seconds: 3_600 });
    sql.pass(60);
    await bench.tickOf('main', () => down());
    expect(secondsUntil((await monitor(id)).next_check_at)).toBeLessThanOrEqual(20);
    sql.pass(20);
    await bench.tickOf('main', () => down());
    const [{ at }] = await database.sql('select punctual.next_on_grid($1, 3600, $2) as at', [id, sql.now]);
    expect(await monitor(id)).toMatchObject({ state: 'down', next_check_at: at });
  });

  it('a changed URL discards earlier results', async () => {
    const id = await addMonitor();
    await runChecks(id, 'ud');
    await update(id, { url: 'https://other.example' });
    expect(await runChecks(id, 'dd')).toBe('ud');
  });

  it('a changed URL discards the result of a check under way', async () => {
    const id = await addMonitor({ confirm_failures: 1, confirm_checks: 1 });
    sql.pass(60);
    const { settle } = await bench.claim();
    await update(id, { url: 'https://other.example' });
    expect((await settle(() => down())).settled).toMatchObject({ lost: 1 });
    expect(await incidents()).toEqual([]);
    expect(await runChecks(id, 'u')).toBe('u');
  });

  const byOperator = { p_queue: 'monitors', p_decision: 'inactive', p_by: 'Ann', p_note: null };
  it.each([
    ['with an edit', (id: string) => update(id, { is_active: false })],
    ['with plain SQL', deactivateBySql],
    ['with an operator’s decision', (id: string) => call('resolve_row', { ...byOperator, p_id: id })],
  ])('deactivating a monitor %s closes its incident, and it stays inactive', async (_method, deactivate) => {
    const id = await addMonitor();
    await runChecks(id, 'dd');
    await deactivate(id);
    expect(await incidents()).toMatchObject([{ closed_at: expect.any(String) }]);
    await update(id, { name: 'another' });
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
    if (n > 1) expect(await runChecks(id, 'd')).toBe('u');
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
    await bench.tickOf('main', () => odd as CheckResult);
    const [check] = await database.sql('select verdict, at from punctual.monitor_checks');
    expect(check.verdict).toBe('up');
    expect(Math.abs(secondsUntil(check.at))).toBeLessThan(1);
  });

  it.each([undefined, null, 'sideways', true, {}])('a verdict of %o sets no state', async (verdict) => {
    const id = await addMonitor();
    sql.pass(60);
    await bench.tickOf('main', () => ({ verdict }));
    expect(await monitor(id)).toMatchObject({ status: 'scheduled', state: null });
  });

  it('uptime is the share of checks with the verdict up or degraded', async () => {
    const id = await addMonitor();
    const uptime = async () => (await call('read_monitor', { p_id: id })).uptime;
    await runChecks(id, 'uuugdddd');
    expect(await uptime()).toEqual({ day: 0.5, week: 0.5, month: 0.5 });
    sql.pass(2 * 86_400);
    await runChecks(id, 'uuuu');
    expect(await uptime()).toMatchObject({ day: 1, week: expect.closeTo(8 / 12, 5) });
    sql.pass(29 * 86_400);
    expect(await uptime()).toEqual({ day: null, week: null, month: 1 });
  });

  it('a result that is settled twice is stored as one check', async () => {
    const id = await addMonitor();
    sql.pass(60);
    const { settle } = await bench.claim();
    await settle(undefined, { close: false });
    await settle();
    expect((await call('read_monitor', { p_id: id })).checks).toHaveLength(1);
  });
});

describe('managing monitors', () => {
  it('creates all monitors of a call or none, and one for each idempotency key', async () => {
    const good = { name: 'a', url: 'https://a.example', idempotency_key: 'k' };
    const [id] = await create(good);
    const again = await call('create_monitors', { p_rows: [good] });
    expect(again.rows).toEqual([{ id, status: 'scheduled', created: false }]);
    const other = { name: 'b', url: 'https://b.example' };
    const { errors } = await call('create_monitors', {
      p_rows: [
        other,
        { ...other, preferred_region: 'mars', timeout_ms: 29_000 },
        { ...other, only_regions: ['fra1'], preferred_region: 'sin1', confirm_failures: 4 },
        { ...good, interval_seconds: 90 },
      ],
    });
    const regions = 'there is no region "mars"; there is fra1, main, sin1';
    expect(errors).toMatchObject([
      { index: 1, field: 'preferred_region', message: regions },
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
    expect(JSON.stringify([shown, await call('read_monitoring')])).not.toContain('secret');
    const { items } = await call('list_rows', {
      p_queue: 'monitors',
      p_filter: { status: ['scheduled'] },
      p_limit: 10,
    });
    expect(items).toMatchObject([{ row: { name: 'site 0' } }]);
    expect(items[0].row).not.toHaveProperty('headers');
  });

  it('lists monitors by state', async () => {
    const ids = await create({}, {}, {}, { is_active: false });
    sql.pass(60);
    await bench.tickOf('main', (row) => (String(row.id) === ids[1] ? down() : {}));
    const list = async (p_state: string) => (await call('list_monitors', { p_state })).items;
    const last = { verdict: 'up' };
    expect(await list('up')).toMatchObject([
      { id: ids[0], last },
      { id: ids[2], last },
    ]);
    expect(await list('inactive')).toMatchObject([{ id: ids[3] }]);
    expect(await list('new')).toMatchObject([{ id: ids[1], suspect: true }]);
    expect(await call('read_monitoring')).toMatchObject({
      counts: { up: 2, degraded: 0, down: 0, new: 1, inactive: 1 },
      monitors: [{ id: ids[1] }, { id: ids[0] }, { id: ids[2] }, { id: ids[3] }],
    });
  });

  it.each(['99', 'x'])('refuses the unknown id %s', async (p_id) => {
    // A plan for an empty table scans it, and so evaluates nothing of a condition.
    await database.sql('analyze punctual.monitors');
    expect(await call('read_monitor', { p_id })).toBeNull();
    await expect(update(p_id, {})).rejects.toMatchObject({ code: 'PT404' });
    await expect(database.rpc('delete_monitor', { p_id })).rejects.toMatchObject({ code: 'PT404' });
  });

  it('deletes a monitor together with its checks', async () => {
    const [id] = await create({});
    sql.pass(60);
    await bench.tickOf();
    expect(await database.rpc('delete_monitor', { p_id: id })).toEqual({ id });
    expect(await database.sql('select from punctual.monitor_checks')).toEqual([]);
  });
});

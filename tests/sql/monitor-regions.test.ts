import { describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';
import { type CheckResult, down, monitoring } from '../support/monitoring.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
const bench = monitoring(database, sql);
const { call, create, monitor, incidents } = bench;

const isDown = () => down();
/** Runs a tick of each region, so that each counts as seen. */
async function tickEach(...regions: string[]): Promise<void> {
  for (const region of regions) await bench.tickOf(region);
}
/** Lets a minute pass before each of `count` runs. */
async function eachMinute(count: number, run: () => Promise<unknown>): Promise<void> {
  for (let minute = 0; minute < count; minute++) {
    sql.pass(60);
    await run();
  }
}
const homes = () => database.sql('select id, home_region as home, region from punctual.monitors order by id');
async function countMonitors(column: 'home' | 'region' = 'region'): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const row of await homes()) counts[row[column]] = (counts[row[column]] ?? 0) + 1;
  return counts;
}

describe('monitors of several regions', () => {
  it('go to their preferred region or are spread evenly, over healthy regions only', async () => {
    await tickEach('main', 'fra1');
    await create(
      ...Array.from({ length: 9 }, () => ({})),
      { preferred_region: 'fra1' },
      { preferred_region: 'sin1' },
    );
    await tickEach('main');
    expect(await countMonitors('home')).toEqual({ main: 5, fra1: 5, sin1: 1 });
    // sin1 never had a tick.
    expect(await countMonitors()).toEqual({ main: 6, fra1: 5 });
  });

  it('give a new region its share, and no others move', async () => {
    await tickEach('main', 'fra1');
    await create(...Array.from({ length: 90 }, () => ({})));
    await tickEach('main');
    const before = await homes();
    await tickEach('sin1');
    expect(await countMonitors('home')).toEqual({ main: 30, fra1: 30, sin1: 30 });
    const after = await homes();
    expect(after.filter(({ home }, n) => home !== before[n].home)).toHaveLength(30);
  });

  it('go to the default region if theirs is not seen for over 3 minutes, and go back when it returns', async () => {
    await tickEach('main', 'fra1', 'sin1');
    await create(...Array.from({ length: 30 }, () => ({})));
    await tickEach('main', 'fra1', 'sin1');
    expect(await countMonitors()).toEqual({ main: 10, fra1: 10, sin1: 10 });
    await eachMinute(3, () => tickEach('main', 'sin1'));
    expect(await countMonitors()).toEqual({ main: 10, fra1: 10, sin1: 10 });
    await eachMinute(1, () => tickEach('main', 'sin1'));
    expect(await countMonitors()).toEqual({ main: 20, sin1: 10 });
    const reason = 'no tick of it was seen for 4 minutes';
    expect(await call('list_regions')).toMatchObject([
      { name: 'main', is_healthy: true, monitors: 20, homes: 10 },
      { name: 'fra1', is_healthy: false, reason, monitors: 0, homes: 10 },
      { name: 'sin1' },
    ]);
    // The default region checks them.
    sql.pass(60);
    expect(await bench.tickOf('main')).toHaveLength(20);
    await eachMinute(1, () => tickEach('fra1'));
    expect(await countMonitors()).toEqual({ main: 10, fra1: 10, sin1: 10 });
  });

  it('are swept by other regions if a tick died in a region no longer seen', async () => {
    await tickEach('main', 'fra1');
    const [id = ''] = await create({ preferred_region: 'fra1' });
    sql.pass(60);
    await bench.claim('fra1');
    await eachMinute(6, () => tickEach('main'));
    expect(await monitor(id)).toMatchObject({ region: 'main', status: 'scheduled', state: 'up' });
  });

  it('of the default region go to another region while it is not seen', async () => {
    await tickEach('main', 'fra1');
    const [id = ''] = await create({ preferred_region: 'main' });
    sql.pass(600);
    await tickEach('fra1');
    expect(await monitor(id)).toMatchObject({ region: 'fra1', home_region: 'main' });
    await tickEach('main');
    expect(await monitor(id)).toMatchObject({ region: 'main' });
  });

  it('with only_regions go to no other region', async () => {
    await tickEach('main', 'fra1', 'sin1');
    const [id = ''] = await create({ only_regions: ['fra1', 'sin1'] });
    await tickEach('main');
    const home = (await monitor(id)).home_region;
    expect(['fra1', 'sin1']).toContain(home);
    sql.pass(600);
    const other = home === 'fra1' ? 'sin1' : 'fra1';
    await tickEach('main', other);
    expect(await monitor(id)).toMatchObject({ region: other });
    sql.pass(600);
    await tickEach('main');
    expect(['fra1', 'sin1']).toContain((await monitor(id)).region);
  });

  it('go to no other region if only_regions is set later or one of them is removed', async () => {
    await tickEach('main', 'fra1');
    const [id = ''] = await create({});
    await call('update_monitor', { p_id: id, p_changes: { only_regions: ['fra1', 'sin1'] } });
    sql.pass(600);
    expect(await bench.tickOf('main')).toEqual([]);
    await database.rpc('remove_region', { p_name: 'fra1' });
    sql.pass(600);
    expect(await bench.tickOf('main')).toEqual([]);
    expect(await monitor(id)).toMatchObject({ only_regions: ['sin1'], region: 'sin1' });
  });

  it('of a paused region go to another', async () => {
    await tickEach('main', 'fra1');
    const [id = ''] = await create({ preferred_region: 'fra1' });
    await database.sql(`update punctual.partitions set paused_at = $1 where partition = 'fra1'`, [sql.now]);
    await tickEach('main');
    expect(await monitor(id)).toMatchObject({ region: 'main' });
  });
});

describe('a failure', () => {
  it('is checked from another region at once, and confirm_failures regions have to agree', async () => {
    await tickEach('main', 'fra1', 'sin1');
    const [id = ''] = await create({ preferred_region: 'fra1' });
    sql.pass(60);
    await bench.tickOf('fra1', isDown);
    const suspect = await monitor(id);
    expect(suspect).toMatchObject({ state: null, suspect_since: expect.any(String) });
    expect(suspect.region).not.toBe('fra1');
    expect(Date.parse(suspect.next_check_at)).toBeLessThanOrEqual(Date.parse(sql.now));
    await bench.tickOf(suspect.region, isDown);
    expect(await monitor(id)).toMatchObject({ state: 'down', region: 'fra1', suspect_since: null });
    expect(await incidents()).toMatchObject([{ regions: ['fra1', suspect.region].sort() }]);
  });

  it('in one region only makes a site degraded, and opens no incident', async () => {
    await tickEach('main', 'fra1');
    const [id = ''] = await create({ preferred_region: 'fra1' });
    const states: string[] = [];
    await eachMinute(12, async () => {
      await bench.tickOf('main');
      await bench.tickOf('fra1', isDown);
      states.push((await monitor(id)).state);
    });
    expect(states).not.toContain('down');
    expect(states).toContain('degraded');
    expect(await incidents()).toEqual([]);
  });

  it('in one region only is not checked again endlessly', async () => {
    await tickEach('main', 'fra1');
    await create({ preferred_region: 'fra1', interval_seconds: 3_600 });
    let checks = 0;
    for (let second = 0; second < 300; second += 5) {
      sql.pass(5);
      checks += (await bench.tickOf('main')).length + (await bench.tickOf('fra1', isDown)).length;
    }
    expect(checks).toBeLessThan(10);
  });

  it('is over once other regions find the site up, even if the home region keeps failing', async () => {
    await tickEach('main', 'fra1', 'sin1');
    const [id = ''] = await create({ preferred_region: 'fra1' });
    const runMinutes = (count: number, elsewhere: CheckResult) =>
      eachMinute(count, async () => {
        await bench.tickOf('fra1', isDown);
        for (const region of ['main', 'sin1']) await bench.tickOf(region, () => elsewhere);
      });
    await runMinutes(1, down());
    expect(await monitor(id)).toMatchObject({ state: 'down' });
    await runMinutes(6, {});
    expect((await incidents()).filter((incident) => incident.closed_at !== null)).toHaveLength(1);
  });

  it('is confirmed by a region seen recently, not by one that may be gone', async () => {
    await tickEach('fra1');
    sql.pass(100);
    await tickEach('main', 'sin1');
    const [id = ''] = await create({ preferred_region: 'main' });
    sql.pass(60);
    await bench.tickOf('main', isDown);
    expect(await monitor(id)).toMatchObject({ region: 'sin1' });
  });
});

describe('a region whose canaries fail', () => {
  const broken = () => ({ ...down(), network: 'broken' });
  const region = async (name: string) =>
    (await call('list_regions')).find((one: { name: string }) => one.name === name);

  it('still finds a dead site while other sites answer', async () => {
    const [dead] = await create(...Array.from({ length: 20 }, () => ({})));
    await eachMinute(4, () => bench.tickOf('main', ({ id }) => (String(id) === dead ? broken() : {})));
    expect(await incidents()).toMatchObject([{ monitor_id: Number(dead) }]);
    expect(await region('main')).toMatchObject({ is_healthy: true });
  });

  it('opens no incident, and other regions take over its monitors', async () => {
    await tickEach('main', 'fra1');
    const ids = await create(...Array.from({ length: 10 }, () => ({ preferred_region: 'fra1' })));
    sql.pass(60);
    await bench.tickOf('fra1', broken);
    const reason = 'none of its canaries answers: its network is broken';
    expect(await region('fra1')).toMatchObject({ is_healthy: false, reason, monitors: 0 });
    expect((await bench.tickOf('main')).sort()).toEqual([...ids].sort());
    expect(await call('read_monitor', { p_id: ids[0] })).toMatchObject({
      checks: [
        { region: 'main', counted: true },
        { region: 'fra1', counted: false },
      ],
      uptime: { day: 1 },
      state: 'up',
    });
    await eachMinute(20, async () => {
      await tickEach('main');
      await bench.tickOf('fra1', broken);
    });
    expect(await incidents()).toEqual([]);
  });

  it('judges no site while it is the only region, until a canary answers', async () => {
    const [id = ''] = await create({});
    await eachMinute(10, async () => expect(await bench.tickOf('main', broken)).toEqual([id]));
    expect(await monitor(id)).toMatchObject({ state: null });
    expect(await incidents()).toEqual([]);
    const answering = () => ({ ...down(), network: 'ok' });
    await eachMinute(1, () => bench.tickOf('main', answering));
    expect(await region('main')).toMatchObject({ is_healthy: true });
    await eachMinute(1, () => bench.tickOf('main', answering));
    expect(await monitor(id)).toMatchObject({ state: 'down' });
  });
});

it('regions are added, changed and removed', async () => {
  const remove = (p_name: string) => database.rpc('remove_region', { p_name });
  const reason = 'no tick of it was ever seen';
  const office = await call('save_region', { p_region: { name: 'office', unseen_seconds: 60 } });
  expect(office).toMatchObject({ name: 'office', is_healthy: false, reason });
  await tickEach('main', 'office');
  const [id = ''] = await create({ preferred_region: 'office' });
  await expect(remove('main')).rejects.toMatchObject({ code: 'PT409' });
  await expect(remove('nowhere')).rejects.toMatchObject({ code: 'PT404' });
  expect(await remove('office')).toEqual({ name: 'office', moved: 1 });
  sql.pass(60);
  expect(await bench.tickOf('main')).toEqual([id]);
  await create({ only_regions: ['sin1'] });
  const message = expect.stringContaining('the monitor "site 0" may be checked from sin1 only');
  await expect(remove('sin1')).rejects.toMatchObject({ code: 'PT409', message });
  await call('save_region', { p_region: { name: 'fra1', is_default: true } });
  expect(await call('list_regions')).toMatchObject([
    { name: 'fra1', is_default: true },
    { name: 'main', is_default: false },
    {},
  ]);
});

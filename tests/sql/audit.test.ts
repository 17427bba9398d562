import { describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
const acts = () => database.sql('select act, by, target, note from punctual.audit order by id');

describe('the audit', () => {
  it('has no act of a call that was refused', async () => {
    const id = await sql.addDm(await sql.addAccount(), { status: 'sent' });
    await expect(sql.resolve(id, 'dead')).rejects.toMatchObject({ code: 'PT409' });
    expect(await acts()).toEqual([]);
  });

  it('names an operator where nobody is named', async () => {
    await database.sql(`select punctual.note_act(null, 'test', null, null, null, null, null)`);
    expect(await acts()).toMatchObject([{ by: 'an operator' }]);
  });

  it('loses the notes about a person who is forgotten, and keeps the acts', async () => {
    const account = await sql.addAccount();
    const { id } = await sql.addUnknown(account, { recipient: 'ann', chat_id: null });
    const { id: other } = await sql.addUnknown(account, { recipient: 'bob', chat_id: null });
    await sql.resolve(id, 'dead', 'Ann asked for it');
    await sql.resolve(other, 'dead', 'asked for it');
    await database.rpc('forget_person', { p_recipient: 'ann', p_by: 'Mira' });
    expect(await acts()).toEqual([
      { act: 'resolve_row', by: 'Ann', target: Number(id), note: null },
      { act: 'resolve_row', by: 'Ann', target: Number(other), note: 'asked for it' },
      { act: 'forget_person', by: 'Mira', target: null, note: null },
    ]);
  });

  it('is kept for a year, or as the settings say', async () => {
    const add = (days: number) =>
      database.sql(
        `select punctual.note_act('Mira', 'test', null, $2, null, null, $1::timestamptz - make_interval(days => $3))`,
        [sql.now, String(days), days],
      );
    for (const days of [366, 364, 10]) await add(days);
    const prune = () => database.rpc('prune', { p_now: sql.now });
    expect(await prune()).toMatchObject({ acts: 1, more: false });
    await database.sql('update punctual.settings set audit_days = null');
    expect(await prune()).toMatchObject({ acts: 0 });
    await database.sql('update punctual.settings set audit_days = 30');
    expect(await prune()).toMatchObject({ acts: 1 });
    expect(await acts()).toMatchObject([{ target: 10 }]);
  });
});

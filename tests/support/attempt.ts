import type { exchanges } from './exchanges.ts';

type Sql = ReturnType<typeof exchanges>;
type Tick = ReturnType<Sql['tick']>;

/** Claims the next row of a queue and settles it with `record`. Returns its id; null if no row may be claimed. */
export const attempt = (sql: Sql, record: object = {}, queue = 'dm_queue'): Promise<string | null> =>
  settleNext(sql.tick({ queue }), record);

/** Claims one row in the tick, settles it, and closes the tick. Returns the row's id; null if none was claimed. */
export const attemptIn = (tick: Tick, outcome = 'done', more: object = {}): Promise<string | null> =>
  settleNext(tick, { outcome, error: 'e', delay_seconds: 0, ...more });

async function settleNext(tick: Tick, record: object): Promise<string | null> {
  const { rows, claimId } = await tick.claim(1);
  const records = rows.map(({ id, account }) => {
    return { id, claim_id: claimId, outcome: 'done', account_id: account?.id, ...record };
  });
  await tick.settle(records, { close: true });
  return rows[0]?.id ?? null;
}

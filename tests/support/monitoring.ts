import type { exchanges } from './exchanges.ts';
import type { TestDatabase } from './test-database.ts';

/** The result of a check. Its verdict is `up` by default. */
export type CheckResult = { verdict?: unknown; network?: string | null; [field: string]: unknown };
type Check = (row: { id: string; region: string }) => CheckResult;

const up: Check = () => ({});
export const down = (error = 'it answered 503'): CheckResult => ({
  verdict: 'down',
  error,
  status_code: 503,
});

/** Checks monitors by SQL, without the engine and the network, at the times of `sql`. */
export function monitoring(database: TestDatabase, sql: ReturnType<typeof exchanges>) {
  const call = (fn: string, args: object = {}) =>
    // biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
    database.rpc(fn, { ...args, p_now: sql.now }) as Promise<any>;
  return {
    call,
    /** Adds a monitor for each of `changes`, and returns their ids. */
    async create(...changes: object[]): Promise<string[]> {
      const p_rows = changes.map((change, n) => ({
        name: `site ${n}`,
        url: `https://site-${n}.example`,
        ...change,
      }));
      const response = await call('create_monitors', { p_rows });
      if (response.errors) throw new Error(JSON.stringify(response.errors));
      return response.rows.map((row: { id: string }) => row.id);
    },
    async monitor(id = '1') {
      const [row] = await database.sql('select * from punctual.monitors where id = $1', [id]);
      return row;
    },
    incidents: () =>
      database.sql(
        `select i.*, extract(epoch from i.ended_at - i.started_at)::integer as seconds from punctual.incidents i order by i.id`,
      ),
    /** Claims the due monitors of a region and leaves their checks running. */
    async claim(region = 'main', want = 2_000) {
      const tick = sql.tick({ queue: 'monitors', partition: region });
      const { rows, claimId } = await tick.claim(want);
      const settle = (check = up, { close = true } = {}) => {
        const common = { error: null, network: null, total_ms: 120, took_ms: 120, redirects: 0 };
        const records = rows.map(({ id, row }) => ({
          id,
          claim_id: claimId,
          outcome: 'again',
          delay_seconds: row.interval_seconds,
          result: { verdict: 'up', ...common, ...check(row) },
        }));
        return tick.settle(records, { close });
      };
      return { ids: rows.map(({ id }) => id), settle };
    },
    /** Runs one tick of a region, in which `check` gives the result of each due monitor. Returns the checked ids. */
    async tickOf(region = 'main', check = up): Promise<string[]> {
      const { ids, settle } = await this.claim(region);
      await settle(check);
      return ids;
    },
  };
}

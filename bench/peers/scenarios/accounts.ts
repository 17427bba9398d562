import type { Entries } from '../contenders/all-contenders.ts';
import { drainRate } from './drain.ts';
import type { Scenario } from './scenario.ts';

/** Messages of many accounts, a handler that does nothing: what pace and its guarantees cost a message. */
export function accounts(entries: Entries, { rows, sizes }: { rows: number; sizes: number[] }): Scenario {
  return {
    name: 'accounts',
    title: `Accounts: ${rows.toLocaleString('en')} messages, a handler that does nothing`,
    unit: 'messages/s',
    isRate: true,
    entries: sizes.map((size) =>
      entries.punctualDms({
        name: `Punctual, direct, one tick, accounts: ${size.toLocaleString('en')}`,
        accounts: size,
        concurrency: 500,
      }),
    ),
    measure: (contender) => drainRate(contender, rows),
  };
}

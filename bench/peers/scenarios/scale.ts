import type { Entries } from '../contenders/all-contenders.ts';
import type { Scenario } from './scenario.ts';

interface Size {
  due: number;
  settled?: number;
  accounts?: number;
}

/** A claim of 100 rows with short and long backlogs, beside settled rows, and with few and many accounts. */
export function scale(entries: Entries, { sizes }: { sizes: Size[] }): Scenario {
  const thousands = (count: number) => (count % 1_000 ? `${count}` : `${count / 1_000}k`);
  return {
    name: 'scale',
    title: 'Scale: a claim of 100 rows',
    unit: 'ms',
    isRate: false,
    entries: sizes.map(({ due, settled = 0, accounts = null }) =>
      entries.punctualClaims({
        name: [
          `Punctual, ${thousands(due)} due`,
          ...(settled > 0 ? [`${thousands(settled)} settled`] : []),
          ...(accounts !== null ? [`${thousands(accounts)} accounts`] : []),
        ].join(', '),
        due,
        settled,
        accounts,
      }),
    ),
    measure: async (contender) => (await contender.claimMs?.()) ?? Number.NaN,
  };
}

import type { Query } from '@/components/link.ts';
import { instantOf } from '@/components/time/instant-of.ts';

/** The parts of a filter in an address, with their names in words: docs/api.md, "Find rows". */
export const FILTER_NAMES: Record<string, string> = {
  text: 'error or id',
  account: 'account',
  partition: 'partition',
  to: 'for',
  error: 'error group',
  error_kind: 'kind of error',
  due_from: 'due from',
  due_to: 'due before',
  created_from: 'created from',
  created_to: 'created before',
  finished_from: 'ended from',
  finished_to: 'ended before',
  tick: 'tick',
  action: 'action',
  decide: 'waits for a person',
};

/** The sort goes with the filter, though no action takes it. */
const names = ['status', 'sort', ...Object.keys(FILTER_NAMES)];

/** Reads the filter of an address, without what a form left empty. An instant without a zone is UTC. */
export function readFilter(query: Query): Query {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = query[name]?.trim();
      return value ? [[name, /_(from|to)$/.test(name) ? instantOf(value) : value]] : [];
    }),
  );
}

/** Returns an address’s parts of a filter apart from the state, as chips show them. */
export function activeParts(filter: Query): { name: string; value: string }[] {
  return Object.keys(FILTER_NAMES).flatMap((name) => {
    const value = filter[name];
    return value ? [{ name, value }] : [];
  });
}

/** Returns the filter as `startAction` takes it. */
export function filterInputOf({ status, decide: _, sort: __, ...parts }: Query): Record<string, unknown> {
  return { ...parts, ...(status && { status: status.split(',') }) };
}

/** Says how many rows match: `504 rows`, `more than 10,000 rows`. */
export function countWords({ count, more }: { count: number; more: boolean }): string {
  const rows = `${count.toLocaleString('en-US')} row${count === 1 ? '' : 's'}`;
  if (!more) return rows;
  return count >= 10_000 ? `more than ${rows}` : `at least ${rows}`;
}

import type { ListedRow } from '@/lib/store/listed-row';

/** Of an unknown row: nobody is going to ask about it, or asking did not help. */
export function waitsForPerson({ reconcile }: ListedRow): boolean {
  return !reconcile?.next_check_at || reconcile.waits_for_operator;
}

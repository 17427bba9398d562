import type { ListedRow } from '@/lib/store/listed-row.ts';

/** Whether an unknown row waits for a person: no check of it is planned, or checks did not resolve it. */
export function needsDecision({ reconcile }: ListedRow): boolean {
  return !reconcile?.next_check_at || reconcile.waits_for_operator;
}

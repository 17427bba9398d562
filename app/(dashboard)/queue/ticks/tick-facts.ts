import type { TickReport } from '@/lib/engine/tick-report';
import type { LedgerTick } from '@/lib/store/stats';

type Facts = Pick<TickReport, 'ended' | 'usedMs' | 'budgetMs' | 'lock'>;
type TickFacts = { [K in keyof Facts]: Facts[K] | null } & Pick<TickReport, 'performMs'>;

/**
 * What the table shows of a report. The ledger holds reports of older versions too, so each field is looked
 * at before it is believed.
 */
export function tickFacts(report: LedgerTick['report']): TickFacts {
  const { ended, usedMs, budgetMs, lock, performMs }: Record<string, unknown> = report ?? {};
  const { p50, p95 } = (performMs ?? {}) as Record<string, unknown>;
  return {
    ended: typeof ended === 'string' ? (ended as Facts['ended']) : null,
    usedMs: numberOrNull(usedMs),
    budgetMs: numberOrNull(budgetMs),
    lock: typeof lock === 'string' ? (lock as Facts['lock']) : null,
    performMs: { p50: numberOrNull(p50), p95: numberOrNull(p95) },
  };
}

function numberOrNull(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}

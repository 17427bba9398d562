import type { TickReport } from '@/lib/engine/tick-report.ts';
import type { LedgerTick } from '@/lib/store/ticks.ts';

type Fields = Pick<TickReport, 'ended' | 'usedMs' | 'budgetMs' | 'lock'>;
type ReportFields = { [K in keyof Fields]: Fields[K] | null } & Pick<TickReport, 'performMs'>;

/**
 * Reads the fields of a tick's report that the table shows. The ledger also holds reports of older versions, so
 * the type of each field is checked.
 */
export function reportFields(report: LedgerTick['report']): ReportFields {
  const { ended, usedMs, budgetMs, lock, performMs }: Record<string, unknown> = report ?? {};
  const { p50, p95 } = (performMs ?? {}) as Record<string, unknown>;
  return {
    ended: typeof ended === 'string' ? (ended as Fields['ended']) : null,
    usedMs: numberOrNull(usedMs),
    budgetMs: numberOrNull(budgetMs),
    lock: typeof lock === 'string' ? (lock as Fields['lock']) : null,
    performMs: { p50: numberOrNull(p50), p95: numberOrNull(p95) },
  };
}

function numberOrNull(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}

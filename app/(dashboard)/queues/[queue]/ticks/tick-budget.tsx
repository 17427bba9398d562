import { shortMs } from '@/lib/stats/short-duration.ts';

interface TickBudgetProps {
  usedMs: number | null;
  budgetMs: number | null;
}

/** Draws how much of its budget a tick used. */
export function TickBudget({ usedMs, budgetMs }: TickBudgetProps) {
  if (usedMs === null) return <span className="text-muted">–</span>;
  const share = budgetMs ? Math.min(1, usedMs / budgetMs) : 0;
  return (
    <span className="inline-flex items-center gap-2 whitespace-nowrap">
      <span aria-hidden="true" className="h-1.5 w-14 overflow-hidden rounded-full bg-line">
        <span
          className={`block h-full rounded-full ${share > 0.9 ? 'bg-warn-bar' : 'bg-muted'}`}
          style={{ width: `${Math.max(2, share * 100)}%` }}
        />
      </span>
      <span>
        {shortMs(usedMs)}
        {budgetMs !== null && <span className="text-muted"> of {shortMs(budgetMs)}</span>}
      </span>
    </span>
  );
}

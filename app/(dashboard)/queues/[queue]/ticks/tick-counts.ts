import type { QueueStats } from '@/lib/store/stats.ts';
import type { LedgerTick } from '@/lib/store/ticks.ts';

type CountKey = 'claimed' | 'done' | 'retried' | 'again' | 'dead' | 'unknown' | 'released' | 'lost' | 'swept';

export interface TickCount {
  key: CountKey;
  count: number;
  label: string;
  meaning: string;
  tone: string;
}

/** Returns a tick's counts that are not zero, in the queue's words. */
export function tickCounts(tick: Pick<LedgerTick, CountKey>, words: QueueStats['words']): TickCount[] {
  const counts: Omit<TickCount, 'count'>[] = [
    { key: 'claimed', label: 'claimed', meaning: 'rows that the tick claimed', tone: 'text-ink' },
    { key: 'done', label: words.done, meaning: 'worked, and was confirmed', tone: 'text-good' },
    { key: 'again', label: 'rescheduled', meaning: 'worked, and falls due again', tone: 'text-good' },
    { key: 'retried', label: 'retried', meaning: 'failed, and will be retried', tone: 'text-ink' },
    {
      key: 'unknown',
      label: words.unknown,
      meaning: 'may or may not have worked',
      tone: 'text-warn font-semibold',
    },
    { key: 'dead', label: words.dead, meaning: 'failed for good', tone: 'text-bad font-semibold' },
    { key: 'released', label: 'released', meaning: 'returned without using up an attempt', tone: 'text-ink' },
    {
      key: 'lost',
      label: 'lost',
      meaning: 'outcomes that came too late: another tick or a person had changed the row',
      tone: 'text-warn',
    },
    { key: 'swept', label: 'swept', meaning: 'recovered from a tick that died', tone: 'text-warn' },
  ];
  return counts.flatMap((one) => (tick[one.key] > 0 ? [{ ...one, count: tick[one.key] }] : []));
}

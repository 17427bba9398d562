import type { LedgerTick, QueueStats } from '@/lib/store/stats';

type CountKey = 'claimed' | 'done' | 'retried' | 'again' | 'dead' | 'unknown' | 'released' | 'lost' | 'swept';

export interface TickColumn {
  key: CountKey;
  label: string;
  meaning: string;
  tone: string;
}

/** The counts of a tick, in the queue's words. The rare ones show only where some tick has them. */
export function tickColumns(ticks: LedgerTick[], words: QueueStats['words']): TickColumn[] {
  const columns: TickColumn[] = [
    { key: 'claimed', label: 'claimed', meaning: 'rows the tick took', tone: 'text-ink' },
    { key: 'done', label: words.done, meaning: 'happened, and was confirmed', tone: 'text-good' },
    { key: 'again', label: 'again', meaning: 'did their work and fall due again', tone: 'text-good' },
    {
      key: 'retried',
      label: 'retried',
      meaning: 'failed without effect; will be tried again',
      tone: 'text-ink',
    },
    {
      key: 'unknown',
      label: words.unknown,
      meaning: 'may or may not have happened',
      tone: 'text-warn font-semibold',
    },
    { key: 'dead', label: words.dead, meaning: 'failed for good', tone: 'text-bad font-semibold' },
    { key: 'released', label: 'released', meaning: 'given back unstarted', tone: 'text-ink' },
    {
      key: 'lost',
      label: 'lost',
      meaning: 'outcomes that came after the row had been taken over',
      tone: 'text-warn',
    },
    {
      key: 'swept',
      label: 'swept',
      meaning: 'left behind by a tick that died, and taken up',
      tone: 'text-warn',
    },
  ];
  const rare = new Set<CountKey>(['again', 'swept']);
  return columns.filter(({ key }) => !rare.has(key) || ticks.some((tick) => tick[key] > 0));
}

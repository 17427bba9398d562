import type { RandomStream } from './random.ts';
import { day, hour, minute, type Span } from './world.ts';

/** A job to do at least once. */
export interface DrawnJob {
  /** Unique to the job, so that its runs can be found. */
  key: string;
  arrivesAt: number;
  name: 'chore' | 'recurring';
  queue: 'default' | 'blocking' | 'mail';
  dueAt: number;
  priority: number;
  maxAttempts: number | null;
  expiresAt: number | null;
  /** Created under a unique key, and created again a minute later. */
  isUnique: boolean;
  /** How often it runs; 1 unless it recurs. */
  times: number;
  /** Seconds from one run of a recurring job to the next. */
  everySeconds: number;
}

/** Draws background jobs in three queues, one of them blocking. One world in seven has none. */
export function drawJobs(random: RandomStream, { startAt, quietAt }: Span): DrawnJob[] {
  if (random.chance(1 / 7)) return [];
  const count = Math.round(random.between(25, 40) * ((quietAt - startAt) / day));
  let burst = { at: 0, left: 0 };
  return Array.from({ length: count }, (_, n) => {
    if (burst.left-- <= 0)
      burst = {
        at: Math.round(random.between(startAt, quietAt - 2 * hour)),
        left: random.chance(0.15) ? random.integer(5, 20) : 0,
      };
    const arrivesAt = burst.at;
    const isRecurring = random.chance(0.06);
    return {
      key: `job ${n}`,
      arrivesAt,
      name: isRecurring ? ('recurring' as const) : ('chore' as const),
      queue: isRecurring ? 'default' : random.pick(['default', 'default', 'mail', 'blocking'] as const),
      dueAt: Math.round(arrivesAt + random.pick([0, 0, -1, 1]) * random.magnitude(1, 300) * minute),
      priority: random.chance(0.8) ? 1 : random.integer(0, 3),
      maxAttempts: random.chance(0.3) ? random.integer(1, 6) : null,
      expiresAt: random.chance(0.05) ? Math.round(arrivesAt + random.magnitude(0.5, 20) * hour) : null,
      isUnique: random.chance(0.3),
      times: isRecurring ? random.integer(3, 12) : 1,
      everySeconds: Math.round(random.magnitude(300, 20_000)),
    };
  }).sort((a, b) => a.arrivesAt - b.arrivesAt);
}

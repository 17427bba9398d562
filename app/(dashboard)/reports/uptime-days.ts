import type { Analytics } from '@/lib/store/analytics.ts';

type Day = Analytics['monitors'][number];

export interface UptimeDays {
  /** Newest first. */
  days: { day: string; partial: boolean }[];
  /** In the order of the input, worst first. `byDay` has one entry for each of `days`: null if the monitor was not checked. */
  monitors: { id: string; name: string; byDay: (Day | null)[]; alwaysUp: boolean }[];
}

/** Groups the uptime of monitors by monitor and day. */
export function uptimeDays(monitors: Analytics['monitors']): UptimeDays {
  const days = [...new Map(monitors.map(({ day, partial }) => [day, { day, partial }])).values()];
  days.sort((a, b) => b.day.localeCompare(a.day));
  const ids = [...new Set(monitors.map(({ monitor_id }) => monitor_id))];
  return {
    days,
    monitors: ids.map((id) => {
      const own = monitors.filter(({ monitor_id }) => monitor_id === id);
      return {
        id,
        name: own[0]?.monitor ?? id,
        byDay: days.map(({ day }) => own.find((one) => one.day === day) ?? null),
        alwaysUp: own.every(({ uptime }) => uptime === 1),
      };
    }),
  };
}

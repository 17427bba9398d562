import type { Analytics } from '@/lib/store/analytics';

type Day = Analytics['monitors'][number];

export interface UptimeDays {
  /** The newest first. */
  days: { day: string; partial: boolean }[];
  /** As they came: the worst first. `byDay` has an entry for each of `days`, null where it was not checked. */
  monitors: { id: string; name: string; byDay: (Day | null)[]; alwaysUp: boolean }[];
}

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

import type { MonitorSummary } from '../../../lib/store/monitoring.ts';
import { ago } from '../queue-stats.ts';

type Last = NonNullable<MonitorSummary['last']>;

/** A monitor that is up and was checked five seconds ago. */
export function monitorSummary(changes: Partial<MonitorSummary> = {}): MonitorSummary {
  return {
    id: '1',
    name: 'Shop',
    url: 'https://shop.example.com/',
    interval_seconds: 60,
    criticality: 'normal',
    is_active: true,
    status: 'scheduled',
    region: 'main',
    home_region: 'main',
    preferred_region: null,
    state: 'up',
    state_since: ago(3_600),
    suspect: false,
    last_checked_at: ago(5),
    next_check_at: ago(-55),
    last: lastCheck(),
    uptime: { day: 1, week: 1, month: 1 },
    ...changes,
  };
}

export function lastCheck(changes: Partial<Last> = {}): Last {
  return {
    verdict: 'up',
    error: null,
    status_code: 200,
    total_ms: 120,
    dns_ms: 2,
    connect_ms: 8,
    tls_ms: 30,
    first_byte_ms: 70,
    ...changes,
  };
}

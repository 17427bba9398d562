import { clockTime } from '@/components/time/clock-time';
import type { Explanation } from '@/lib/store/explanation';

type Wait = Explanation['waits'][number];

/** An explanation in one sentence, with times by the browser's own clock. */
export function explanationHeadline(row: Explanation, nowMs: number): string {
  const word = row.status.charAt(0).toUpperCase() + row.status.slice(1);
  const at = row.finished_at === null ? '' : ` at ${clockTime(row.finished_at, nowMs)}`;
  switch (row.state) {
    case 'pending':
      return pendingHeadline(row, nowMs);
    case 'running':
      return row.tick === null
        ? `${word}: the tick that took it is gone, and a later one will see to it.`
        : `${word}: a tick is at it.`;
    case 'dead':
      return row.last_error === null ? `${word}${at}.` : `${word}${at}: ${row.last_error}`;
    case 'unknown':
      return `${word}: it may have worked, or not. ${whatIsNext(row, nowMs)}`;
    case 'done':
    case 'cancelled':
      return `${word}${at}.`;
  }
}

function pendingHeadline({ waits, expected_at: expectedAt }: Explanation, nowMs: number): string {
  const wait = decisiveWait(waits, expectedAt !== null);
  const expected = expectedAt === null ? null : clockTime(expectedAt, nowMs);
  if (!wait) return `Nothing stands in its way${expected ? `; expected about ${expected}` : ''}.`;
  const what = wait.kind === 'tick' ? 'Waits for the next tick' : `Waits: ${wait.text}`;
  const until = isInstant(wait.until) ? clockTime(wait.until, nowMs) : null;
  const forecast = expected && (expected === until ? '; expected then' : `; expected about ${expected}`);
  return `${what}${until ? ` until ${until}` : ''}${forecast ?? ''}.`;
}

/** The wait that ends last; where no end can be told, one that has none. */
function decisiveWait(waits: Wait[], hasForecast: boolean): Wait | undefined {
  const endless = waits.find(
    (wait) => !isInstant(wait.until) && wait.kind !== 'tick' && wait.kind !== 'behind',
  );
  if (endless && !hasForecast) return endless;
  const [last] = waits
    .filter((wait) => isInstant(wait.until))
    .sort((a, b) => Date.parse(b.until ?? '') - Date.parse(a.until ?? ''));
  return last ?? waits[0];
}

function whatIsNext({ reconcile }: Explanation, nowMs: number): string {
  const nextCheckAt = reconcile?.next_check_at ?? null;
  if (!isInstant(nextCheckAt) || reconcile?.waits_for_operator) return 'It waits for a person to decide.';
  const when = Date.parse(nextCheckAt) > nowMs ? `at ${clockTime(nextCheckAt, nowMs)}` : 'with the next tick';
  return `It is checked ${when}.`;
}

/** Neither null nor Postgres' infinity. */
function isInstant(at: string | null): at is string {
  return at !== null && !Number.isNaN(Date.parse(at));
}

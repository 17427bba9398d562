import { clockTime } from '@/components/time/clock-time.ts';
import type { Explanation } from '@/lib/store/explanation.ts';

type Wait = Explanation['waits'][number];

/** Sums up an explanation in a sentence or two, with times in the browser's time zone. */
export function explanationHeadline(row: Explanation, nowMs: number): string {
  const word = row.status.charAt(0).toUpperCase() + row.status.slice(1);
  const at = row.finished_at === null ? '' : ` at ${clockTime(row.finished_at, nowMs)}`;
  switch (row.state) {
    case 'pending':
      return pendingHeadline(row, nowMs);
    case 'running':
      return row.tick === null
        ? `${word}: its tick is gone. A later tick sweeps it.`
        : `${word}: a tick is running it.`;
    case 'dead':
      return row.last_error === null ? `${word}${at}.` : `${word}${at}: ${row.last_error}`;
    case 'unknown':
      return `${word}: it may or may not have worked. ${nextStep(row, nowMs)}`;
    case 'done':
    case 'cancelled':
      return `${word}${at}.`;
  }
}

function pendingHeadline({ waits, expected_at: expectedAt }: Explanation, nowMs: number): string {
  const wait = decisiveWait(waits, expectedAt !== null);
  const expected = expectedAt === null ? null : clockTime(expectedAt, nowMs);
  if (!wait) return `Nothing holds it.${expected ? ` Expected about ${expected}.` : ''}`;
  const cause = wait.kind === 'tick' ? 'Waits for the next tick' : `Waits: ${wait.text}`;
  const until = isInstant(wait.until) ? clockTime(wait.until, nowMs) : null;
  const forecast = expected && (expected === until ? ' Expected then.' : ` Expected about ${expected}.`);
  return `${cause}${until ? ` until ${until}` : ''}.${forecast ?? ''}`;
}

/** Returns the wait that ends last. Without a forecast, returns a wait without an end if there is one. */
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

function nextStep({ reconcile }: Explanation, nowMs: number): string {
  const nextCheckAt = reconcile?.next_check_at ?? null;
  if (!isInstant(nextCheckAt) || reconcile?.waits_for_operator) return 'It waits for your decision.';
  const when = Date.parse(nextCheckAt) > nowMs ? `at ${clockTime(nextCheckAt, nowMs)}` : 'with the next tick';
  return `Next check ${when}.`;
}

/** Excludes null and Postgres' infinity. */
function isInstant(at: string | null): at is string {
  return at !== null && !Number.isNaN(Date.parse(at));
}

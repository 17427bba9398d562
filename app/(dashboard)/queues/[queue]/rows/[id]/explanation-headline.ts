import { clockTime } from '@/components/time/clock-time.ts';
import type { Explanation } from '@/lib/store/explanation.ts';

type Wait = Explanation['waits'][number];
/** Says an instant by the clock. */
type Say = (at: string) => string;

/** Sums up an explanation in a sentence or two, with times in `timeZone`, the browser's by default. */
export function explanationHeadline(
  row: Omit<Explanation, 'history'>,
  nowMs: number,
  timeZone?: string,
): string {
  const say = (at: string) => clockTime(at, nowMs, { timeZone });
  const word = row.status.charAt(0).toUpperCase() + row.status.slice(1);
  const at = row.finished_at === null ? '' : ` at ${say(row.finished_at)}`;
  switch (row.state) {
    case 'pending':
      return pendingHeadline(row, say);
    case 'running':
      return row.tick === null
        ? `${word}: its tick is gone. A later tick sweeps it.`
        : `${word}: a tick is running it.`;
    case 'dead':
      return row.last_error === null ? `${word}${at}.` : `${word}${at}: ${row.last_error}`;
    case 'unknown':
      return `${word}: it may or may not have worked. ${nextStep(row, nowMs, say)}`;
    case 'done':
    case 'cancelled':
      return `${word}${at}.`;
  }
}

function pendingHeadline(
  { waits, expected_at: expectedAt }: Pick<Explanation, 'waits' | 'expected_at'>,
  say: Say,
): string {
  const wait = decisiveWait(waits, expectedAt !== null);
  const expected = expectedAt === null ? null : say(expectedAt);
  if (!wait) return `Nothing holds it.${expected ? ` Expected about ${expected}.` : ''}`;
  const cause = wait.kind === 'tick' ? 'Waits for the next tick' : `Waits: ${wait.text}`;
  const until = isInstant(wait.until) ? say(wait.until) : null;
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

function nextStep({ reconcile }: Pick<Explanation, 'reconcile'>, nowMs: number, say: Say): string {
  const nextCheckAt = reconcile?.next_check_at ?? null;
  if (!isInstant(nextCheckAt) || reconcile?.waits_for_operator) return 'It waits for your decision.';
  const when = Date.parse(nextCheckAt) > nowMs ? `at ${say(nextCheckAt)}` : 'with the next tick';
  return `Next check ${when}.`;
}

/** Excludes null and Postgres' infinity. */
function isInstant(at: string | null): at is string {
  return at !== null && !Number.isNaN(Date.parse(at));
}

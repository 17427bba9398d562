import { type ProviderCall, refusalCodes } from '../provider-model.ts';
import type { FinishedRun, PacedRun } from '../run-simulation.ts';
import { hour, minute } from '../world.ts';
import { refusedIn } from './refused-in.ts';
import { restartsOf } from './restarts-of.ts';
import type { Violation } from './violation.ts';

/** Few calls meet a lasting refusal, fewer and fewer as it lasts, and none costs its message. */
export function refusalsCostLittle(run: FinishedRun): Violation[] {
  return [...manyCalls(run), ...[run, run.posts].flatMap(givenUp)];
}

/** A call that met a lasting refusal, with its claim. */
interface RefusedCall {
  at: number;
  claimedAt: number;
  provider: string;
  accountId: string;
  /** When the refusal was reported to the database; null if it never was, because the process died. */
  reportedAt: number | null;
}

/** The most calls of both queues in the first hour, unless more were already under way. */
const maxInFirstHour = 5;

function manyCalls(run: FinishedRun): Violation[] {
  const queues = [run, run.posts];
  const toAccounts = queues.flatMap((queue) => refusedCalls(queue, 'refused for hours'));
  const toProviders = queues.flatMap((queue) => refusedCalls(queue, 'refuses everything'));
  const { accounts } = run.world;
  const ofAccounts = accounts.flatMap(({ id, provider, provider_account_id: name }) => {
    // A refusal by the whole provider restarts the count of an account's refusals.
    const between = toProviders.filter((call) => call.provider === provider).map(({ at }) => at);
    const restarts = [...restartsOf(run, id), ...between];
    const own = toAccounts.filter(({ accountId }) => accountId === name);
    return stretches(own, restarts).flatMap((calls) => [
      ...tooSoon(calls, name),
      ...tooManyInTheHour(calls, name),
    ]);
  });
  const ofProviders = [...new Set(accounts.map(({ provider }) => provider))].flatMap((name) => {
    const own = toProviders.filter(({ provider }) => provider === name);
    return stretches(own, restartsOf(run, `provider/${name}`)).flatMap((calls) => {
      return [...tooSoon(calls, name), ...tooManyInTheHour(calls, name)];
    });
  });
  return [...ofAccounts, ...ofProviders];
}

function refusedCalls(run: PacedRun, fault: ProviderCall['fault']): RefusedCall[] {
  const isRefused = refusedIn(run);
  const claims = new Map<string, { at: number; reportedAt: number | null }[]>();
  const running = new Map<string, { at: number; reportedAt: number | null }>();
  for (const transition of run.transitions) {
    const { rowId, to, at } = transition;
    const intent = run.intents.get(rowId);
    if (!intent) continue;
    const before = running.get(rowId);
    if (before && isRefused(transition)) before.reportedAt = at;
    running.delete(rowId);
    if (to !== 'running') continue;
    const key = `${intent.account.provider_account_id} ${intent.body}`;
    const claim = { at, reportedAt: null };
    running.set(rowId, claim);
    claims.set(key, [...(claims.get(key) ?? []), claim]);
  }
  return run.calls
    .filter((call) => call.fault === fault)
    .map(({ at, provider, accountId, text }) => {
      const claim = claims.get(`${accountId} ${text}`)?.findLast((one) => one.at <= at);
      return { at, claimedAt: claim?.at ?? at, provider, accountId, reportedAt: claim?.reportedAt ?? null };
    });
}

/** Splits the calls wherever a restart lies between their claims. */
function stretches(calls: RefusedCall[], restarts: number[]): RefusedCall[][] {
  const parts = new Map<number, RefusedCall[]>();
  for (const call of [...calls].sort((a, b) => a.at - b.at)) {
    const part = restarts.filter((at) => at <= call.claimedAt).length;
    parts.set(part, [...(parts.get(part) ?? []), call]);
  }
  return [...parts.values()];
}

function tooManyInTheHour(calls: RefusedCall[], name: string): Violation[] {
  const first = calls[0];
  if (!first) return [];
  const firstReportedAt = Math.min(
    Number.POSITIVE_INFINITY,
    ...calls.flatMap(({ reportedAt }) => reportedAt ?? []),
  );
  const underWay = calls.filter(({ claimedAt }) => claimedAt < firstReportedAt).length;
  // A refusal that was never reported cannot prevent further calls.
  const unreported = calls.filter(({ reportedAt }) => reportedAt === null).length;
  const inTheHour = calls.filter(({ at }) => at < first.at + hour).length;
  if (inTheHour <= Math.max(maxInFirstHour, underWay) + unreported) return [];
  const details = `${name}, from ${new Date(first.at).toISOString()} on: ${inTheHour} calls in the first hour; of all ${calls.length}, ${underWay} were under way and ${unreported} were never reported`;
  return [{ invariant: 'few calls meet a refusal', details }];
}

/** Each reported refusal doubles the wait until the next claim, from 5 minutes to 4 hours. */
function tooSoon(calls: RefusedCall[], name: string): Violation[] {
  const reports = calls.flatMap(({ reportedAt }) => reportedAt ?? []).sort((a, b) => a - b);
  return calls.flatMap(({ claimedAt }) => {
    const before = reports.filter((reportedAt) => reportedAt < claimedAt);
    const until = (before.at(-1) ?? 0) + Math.min(4 * hour, 5 * minute * 2 ** (before.length - 1));
    if (before.length === 0 || claimedAt >= until) return [];
    const details = `${name}: claimed at ${new Date(claimedAt).toISOString()}, after ${before.length} refusals, but the wait lasts until ${new Date(until).toISOString()}`;
    return [{ invariant: 'the wait after a refusal grows', details }];
  });
}

/** No row is dead because the provider refused its account or everything. */
function givenUp({ queue, transitions }: PacedRun): Violation[] {
  const codes = Object.values(refusalCodes);
  return transitions
    .filter(({ to, byHand, lastError }) => {
      return to === 'dead' && byHand === null && codes.some((code) => lastError?.endsWith(`: ${code}`));
    })
    .map(({ rowId, at, lastError }) => ({
      invariant: 'no message is lost to a refusal of its account',
      details: `${queue} ${rowId} at ${new Date(at).toISOString()}: ${lastError}`,
    }));
}

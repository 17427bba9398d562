import { type ProviderCall, refusalCodes } from '../provider-model.ts';
import type { FinishedRun, PacedRun } from '../run-simulation.ts';
import { hour, minute } from '../world.ts';
import { refusedIn } from './refused-in.ts';
import { restartsOf } from './restarts-of.ts';
import type { Violation } from './violation.ts';

/** Few calls meet a refusal that lasts, ever fewer the longer it does; and none costs its message. */
export function refusalsCostLittle(run: FinishedRun): Violation[] {
  return [...manyCalls(run), ...[run, run.posts].flatMap(givenUp)];
}

/** A call that met such a refusal, and the claim that it was made under. */
interface RefusedCall {
  at: number;
  claimedAt: number;
  provider: string;
  accountId: string;
  /** When the database was told of it; null where nobody told, as when the process died. */
  toldAt: number | null;
}

/** In both queues together, where no more were under way. */
const mostInTheHour = 5;

function manyCalls(run: FinishedRun): Violation[] {
  const queues = [run, run.posts];
  const toAccounts = queues.flatMap((queue) => refusedCalls(queue, 'refused for hours'));
  const toProviders = queues.flatMap((queue) => refusedCalls(queue, 'refuses everything'));
  const { accounts } = run.world;
  const ofAccounts = accounts.flatMap(({ id, provider, provider_account_id: name }) => {
    // Another refusal that comes between begins the count anew.
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
  const claims = new Map<string, { at: number; toldAt: number | null }[]>();
  const running = new Map<string, { at: number; toldAt: number | null }>();
  for (const transition of run.transitions) {
    const { rowId, to, at } = transition;
    const intent = run.intents.get(rowId);
    if (!intent) continue;
    const before = running.get(rowId);
    if (before && isRefused(transition)) before.toldAt = at;
    running.delete(rowId);
    if (to !== 'running') continue;
    const key = `${intent.account.provider_account_id} ${intent.body}`;
    const claim = { at, toldAt: null };
    running.set(rowId, claim);
    claims.set(key, [...(claims.get(key) ?? []), claim]);
  }
  return run.calls
    .filter((call) => call.fault === fault)
    .map(({ at, provider, accountId, text }) => {
      const claim = claims.get(`${accountId} ${text}`)?.findLast((one) => one.at <= at);
      return { at, claimedAt: claim?.at ?? at, provider, accountId, toldAt: claim?.toldAt ?? null };
    });
}

/** Calls with no restart between their claims. */
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
  const firstToldAt = Math.min(Number.POSITIVE_INFINITY, ...calls.flatMap(({ toldAt }) => toldAt ?? []));
  const underWay = calls.filter(({ claimedAt }) => claimedAt < firstToldAt).length;
  // A call of which nobody told teaches nobody.
  const untold = calls.filter(({ toldAt }) => toldAt === null).length;
  const inTheHour = calls.filter(({ at }) => at < first.at + hour).length;
  if (inTheHour <= Math.max(mostInTheHour, underWay) + untold) return [];
  const details = `${name}, from ${new Date(first.at).toISOString()} on: ${inTheHour} calls, of all ${calls.length} ${underWay} under way and ${untold} untold`;
  return [{ invariant: 'few calls meet a refusal', details }];
}

/** Each refusal that the database was told of doubles the wait for the next claim. */
function tooSoon(calls: RefusedCall[], name: string): Violation[] {
  const told = calls.flatMap(({ toldAt }) => toldAt ?? []).sort((a, b) => a - b);
  return calls.flatMap(({ claimedAt }) => {
    const before = told.filter((toldAt) => toldAt < claimedAt);
    const until = (before.at(-1) ?? 0) + Math.min(4 * hour, 5 * minute * 2 ** (before.length - 1));
    if (before.length === 0 || claimedAt >= until) return [];
    const details = `${name}: claimed at ${new Date(claimedAt).toISOString()}, after ${before.length} refusals that it waits for until ${new Date(until).toISOString()}`;
    return [{ invariant: 'the wait after a refusal grows', details }];
  });
}

/** No row is dead because its account or its provider was refused. */
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

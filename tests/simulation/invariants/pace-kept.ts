import { SettingsInTime } from '../expected-pace.ts';
import type { FinishedRun, PacedRun } from '../run-simulation.ts';
import { ClaimsInTime } from './claims-in-time.ts';
import { refusedIn } from './refused-in.ts';
import type { Violation } from './violation.ts';

/** No claim breaks a limit, a gap, the hours or a pause, computed independently from the recorder's data, and every call has a claim. */
export function paceKept(run: FinishedRun): Violation[] {
  return [run, run.posts].flatMap((paced) => [...claimsAgainstPace(paced), ...callsUnderClaims(paced)]);
}

function claimsAgainstPace(run: PacedRun): Violation[] {
  const violations: Violation[] = [];
  const settings = new SettingsInTime(run.queue, run.settings);
  const accounts = new Map(run.world.accounts.map(({ id }) => [id, new ClaimsInTime()]));
  const isRefused = refusedIn(run);
  const providers = new Map<string, string>(run.world.accounts.map(({ id, provider }) => [id, provider]));
  for (const transition of run.transitions) {
    const { place, at, accountId, rowId, to } = transition;
    settings.moveTo(place);
    const account = accounts.get(accountId);
    if (!account) continue;
    const set = settings.of(accountId);
    if (to === 'running') {
      const objections = account.objections(set, at, 'of the claim');
      if (settings.queuePausedAt !== null && settings.queuePausedAt <= at) objections.push('queue: paused');
      const restUntil = settings.restOf(providers.get(accountId) ?? '');
      if (restUntil !== null && restUntil > at)
        objections.push(`provider: rests until ${new Date(restUntil).toISOString()}`);
      for (const objection of objections) {
        violations.push({
          invariant: `every claim keeps the pace (${objection.split(':')[0]})`,
          details: `row ${rowId} of ${accountId} (${set.time_zone}) was claimed at ${new Date(at).toISOString()}: ${objection}`,
        });
      }
    }
    if (transition.from !== to) account.follow(transition, set.time_zone, isRefused(transition));
  }
  return violations;
}

/** Every call reaches the provider within the lease of a claim of its row. */
function callsUnderClaims({ calls, intents, transitions, world }: PacedRun): Violation[] {
  const claims = new Map<string, { at: number; leaseExpiresAt: number }[]>();
  for (const { to, rowId, at, leaseExpiresAt } of transitions) {
    const intent = intents.get(rowId);
    if (to !== 'running' || !intent) continue;
    const key = `${intent.account.provider_account_id} ${intent.body}`;
    claims.set(key, [...(claims.get(key) ?? []), { at, leaseExpiresAt: leaseExpiresAt ?? 0 }]);
  }
  return calls
    .filter(({ accountId, text, at }) => {
      const own = claims.get(`${accountId} ${text}`) ?? [];
      return !own.some((claim) => claim.at <= at && at <= claim.leaseExpiresAt);
    })
    .map(({ accountId, text, at }) => ({
      invariant: 'a call is made only under a claim',
      details: `"${text}" of ${accountId} reached the provider at ${new Date(at).toISOString()}, seed ${world.seed}`,
    }));
}

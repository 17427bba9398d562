import { SettingsInTime } from '../expected-pace.ts';
import type { FinalRow, FinishedRun, PacedRun, QueueRun } from '../run-simulation.ts';
import { chatWith, hour, type Intent, minute } from '../world.ts';
import { ClaimsInTime } from './claims-in-time.ts';
import { refusedIn } from './refused-in.ts';
import type { Violation } from './violation.ts';

/** At the end every row is in the right state and gives its reason, and no row waits that could go out. */
export function nothingLost(run: FinishedRun): Violation[] {
  return [
    ...[run, run.posts, run.jobs].flatMap((queue) => queue.rows.flatMap((row) => faultsOf(row, queue))),
    ...[run, run.posts].flatMap((queue) => [
      ...missingRows(queue, queue.intents),
      ...wrongState(queue),
      ...starving(queue),
    ]),
    ...missingRows(run.jobs, run.jobs.drawn),
  ];
}

function missingRows({ rows, queue }: QueueRun, intents: Map<string, unknown>): Violation[] {
  const there = new Set(rows.map(({ id }) => id));
  return [...intents.keys()]
    .filter((id) => !there.has(id))
    .map((id) => ({ invariant: 'no row is lost (missing)', details: `${queue} ${id}` }));
}

function faultsOf(row: FinalRow, { queue, world, transitions }: QueueRun): Violation[] {
  const fault = (problem: string, details: string) => [
    { invariant: `no row is lost (${problem})`, details: `${queue} ${row.id}: ${details}` },
  ];
  if (row.gone !== null) return [];
  switch (row.status) {
    case 'running':
      return (row.leaseExpiresAt ?? 0) + 30 * minute < world.endAt
        ? fault('running past its lease', 'no tick sweeps it')
        : [];
    case 'unknown':
      return row.reconcileAt === null && !row.reconcile?.waits_for_operator
        ? fault('unknown without a next check', JSON.stringify(row))
        : [];
    case 'dead':
      return row.lastError === null ? fault('dead without a reason', JSON.stringify(row)) : [];
    case 'pending':
      return (row.explanation?.waits.length ?? 0) === 0 && row.explanation?.expected_at == null
        ? fault('pending without a reason', JSON.stringify(row.explanation))
        : [];
    case 'cancelled':
      return transitions.some(
        ({ rowId, to, from, byHand }) =>
          byHand === null &&
          rowId === row.id &&
          to === 'cancelled' &&
          from !== 'pending' &&
          from !== 'unknown',
      )
        ? fault('cancelled while it ran', '')
        : [];
    default:
      return [];
  }
}

/** Delivered rows are done or unknown, and done rows were delivered. Compares by text, because rows with the same text cannot be told apart. */
function wrongState({ rows, intents, messages, handled }: PacedRun): Violation[] {
  const groups = new Map<string, { delivered: number; statuses: Map<string, string> }>();
  const keyOf = ({ account, body, ...to }: Intent) =>
    JSON.stringify([account.provider_account_id, chatWith({ account, ...to }), body]);
  const byHand = new Set([...handled].flatMap((id) => intents.get(id) ?? []).map(keyOf));
  const group = (key: string) => {
    const found = groups.get(key) ?? { delivered: 0, statuses: new Map() };
    groups.set(key, found);
    return found;
  };
  for (const { id, status } of rows) {
    const intent = intents.get(id);
    if (!intent) continue;
    group(keyOf(intent)).statuses.set(id, status);
  }
  for (const { accountId, chatId, text, byHand, failed } of messages) {
    if (!byHand && !failed) group(JSON.stringify([accountId, chatId, text])).delivered++;
  }
  return [...groups].flatMap(([key, { delivered, statuses }]) => {
    if (byHand.has(key)) return [];
    const count = (status: string) => [...statuses.values()].filter((other) => other === status).length;
    const details = `${key}: delivered ${delivered} times, rows ${JSON.stringify(Object.fromEntries(statuses))}`;
    if (count('done') > delivered) return [{ invariant: 'no row is lost (done but not delivered)', details }];
    if (count('done') + count('unknown') + count('running') < Math.min(delivered, statuses.size)) {
      return [{ invariant: 'no row is lost (delivered but not done)', details }];
    }
    return [];
  });
}

/** Finds rows that waited through the last quiet hour although their account could send all that time. */
function starving(run: PacedRun): Violation[] {
  const { queue, world, transitions, settings: changes, rows } = run;
  const isRefused = refusedIn(run);
  const providers = new Map<string, string>(world.accounts.map(({ id, provider }) => [id, provider]));
  const settings = new SettingsInTime(queue, changes);
  const accounts = new Map(world.accounts.map(({ id }) => [id, new ClaimsInTime()]));
  const lastClaim = new Map<string, number>();
  const current = new Map<string, (typeof transitions)[number]>();
  for (const transition of transitions) {
    settings.moveTo(transition.place);
    if (transition.from !== transition.to) {
      const { time_zone } = settings.of(transition.accountId);
      accounts.get(transition.accountId)?.follow(transition, time_zone, isRefused(transition));
    }
    if (transition.to === 'running') lastClaim.set(transition.accountId, transition.at);
    current.set(transition.rowId, transition);
  }
  settings.moveTo(Number.POSITIVE_INFINITY);
  const from = world.endAt - hour;
  return rows.flatMap(({ id, accountId, status, explanation, gone }) => {
    const row = current.get(id);
    const account = accounts.get(accountId);
    if (
      gone !== null ||
      status !== 'pending' ||
      !row ||
      !account ||
      (row.dueAt ?? Number.POSITIVE_INFINITY) > from ||
      row.at > from
    )
      return [];
    if ((lastClaim.get(accountId) ?? 0) > from) return [];
    const set = settings.of(accountId);
    if ((settings.restOf(providers.get(accountId) ?? '') ?? 0) > from) return [];
    for (let at = from; at <= world.endAt; at += 5 * minute) {
      if (account.objections(set, at, 'of the wait').length > 0 || account.mayWaitFor(set, at)) return [];
    }
    const details = `${queue} ${id} of ${accountId} was due at ${new Date(row.dueAt ?? 0).toISOString()}; explain_row: ${JSON.stringify(explanation)}`;
    return [{ invariant: 'no row is lost (ready but not sent)', details }];
  });
}

/** During a deployment two versions of the code talk to one database: the request of an older one, or the reply of a newer. */
export type VersionSkew = 'none' | 'older code' | 'newer database';

/** What later versions have added to a request. An older one has never heard of it. */
const addedToTick = ['path', 'schedule', 'continuation', 'run_id', 'asked_for', 'asked_limit', 'call_ms'];
const addedToOutcomes = ['progress'];
const addedToRecords = ['limit_scope', 'account_id', 'account_pause_seconds', 'refused', 'refusal'];

/** The arguments of `exchange` as the first version of the engine sent them. */
export function olderRequest(args: Record<string, unknown>): Record<string, unknown> {
  const outcomes = args.p_outcomes as { records: object[] };
  return {
    ...args,
    p_tick: without(args.p_tick as object, addedToTick),
    p_outcomes: {
      ...without(outcomes, addedToOutcomes),
      records: outcomes.records.map((record) => without(record, addedToRecords)),
    },
  };
}

/** The reply of `exchange` as a later version may send it: with more than is known here. */
export function newerReply(answer: unknown): unknown {
  const reply = answer as { settings: object; rows: object[] };
  const more = { of_a_later_version: { list: [1, null] } };
  return {
    ...reply,
    ...more,
    settings: { ...reply.settings, ...more },
    rows: reply.rows.map((row) => ({ ...row, ...more })),
  };
}

function without(value: object, keys: string[]): object {
  return Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));
}

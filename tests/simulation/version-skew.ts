/** A deployment runs two versions at once: the process sends an older version's request, or gets a later version's response. */
export type VersionSkew = 'none' | 'older code' | 'newer database';

/** Fields of a request that the first version does not send. */
const addedToTick = ['path', 'schedule', 'continuation', 'run_id', 'asked_for', 'asked_limit', 'call_ms'];
const addedToOutcomes = ['progress'];
const addedToRecords = ['limit_scope', 'account_id', 'account_pause_seconds', 'refused', 'refusal'];

/** Returns the arguments of `exchange` as the first version of the engine sent them. */
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

/** Returns the response of `exchange` as a later version may send it, with fields that this version does not know. */
export function newerResponse(value: unknown): unknown {
  const response = value as { settings: object; rows: object[] };
  const more = { of_a_later_version: { list: [1, null] } };
  return {
    ...response,
    ...more,
    settings: { ...response.settings, ...more },
    rows: response.rows.map((row) => ({ ...row, ...more })),
  };
}

function without(value: object, keys: string[]): object {
  return Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));
}

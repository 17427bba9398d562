import type { Client } from 'pg';

interface Reply {
  rows: { id: string }[];
  settled: { done: number };
}

/** Returns a function that makes the next exchange of one tick: it sends outcomes, claims `want` rows, and may close the tick. */
export function exchangesOf(client: Client, tick: object) {
  let seq = 0;
  return async (
    outcomes: object,
    want: number,
    close: boolean,
  ): Promise<Reply & { claimId: string; ms: number }> => {
    const startedAt = performance.now();
    const { rows } = await client.query('select punctual.exchange($1, $2, $3, $4, $5) as reply', [
      tick,
      ++seq,
      outcomes,
      want,
      close,
    ]);
    const { reply } = rows[0] as { reply: Reply & { claim_id: string } };
    return { ...reply, claimId: reply.claim_id, ms: performance.now() - startedAt };
  };
}

/** Does the same on a database from before the exchange's number was an argument. */
export function formerExchangesOf(client: Client, tick: object): ReturnType<typeof exchangesOf> {
  let seq = 0;
  return async (outcomes, want, close) => {
    const claimId = crypto.randomUUID();
    const startedAt = performance.now();
    const { rows } = await client.query('select punctual.exchange($1, $2, $3, $4, $5) as reply', [
      { ...tick, seq: ++seq },
      claimId,
      outcomes,
      want,
      close ? 'if_drained' : 'no',
    ]);
    return { ...(rows[0].reply as Reply), claimId, ms: performance.now() - startedAt };
  };
}

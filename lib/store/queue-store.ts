import { z } from 'zod';
import type {
  CheckedRow,
  ExchangeReply,
  ExchangeRequest,
  QueueStore,
  Settlement,
} from '../engine/ports/queue-store.ts';
import { tickCounts } from '../engine/tick-report.ts';
import { schemaState, schemaVersion } from './migrate/schema-version.ts';
import type { Rpc } from './rpc.ts';
import { storable } from './storable.ts';

const account = z
  .object({ id: z.string(), provider: z.string(), provider_account_id: z.string(), name: z.string() })
  .transform((a) => ({
    id: a.id,
    provider: a.provider,
    providerAccountId: a.provider_account_id,
    name: a.name,
  }));

/** A row's columns. Not a record, which zod would copy key by key. */
const tableRow = z.custom<Record<string, unknown>>((value) => typeof value === 'object' && value !== null);

const reply = z.object({
  admitted: z.boolean(),
  duplicate: z.boolean(),
  paused: z.string().nullable(),
  settings: z
    .object({
      delivery: z.enum(['at-most-once', 'at-least-once']),
      batch_limit: z.number().nullable(),
      concurrency: z.number(),
      max_ticks: z.number(),
      max_continuations: z.number(),
      timeout_seconds: z.number(),
      budget_seconds: z.number().nullable(),
      lease_seconds: z.number(),
      backoff_base_seconds: z.number(),
      backoff_cap_seconds: z.number(),
    })
    .transform((s) => ({
      delivery: s.delivery,
      batchLimit: s.batch_limit,
      concurrency: s.concurrency,
      maxTicks: s.max_ticks,
      maxContinuations: s.max_continuations,
      timeoutSeconds: s.timeout_seconds,
      budgetSeconds: s.budget_seconds,
      leaseSeconds: s.lease_seconds,
      backoffBaseSeconds: s.backoff_base_seconds,
      backoffCapSeconds: s.backoff_cap_seconds,
    })),
  claim_id: z.string(),
  rows: z.array(
    z
      .object({
        id: z.string(),
        attempt: z.number(),
        timeout_seconds: z.number().nullable(),
        row: tableRow,
        account: account.nullish(),
        facts: z.unknown().optional(),
      })
      .transform((r) => ({
        id: r.id,
        attempt: r.attempt,
        timeoutSeconds: r.timeout_seconds,
        row: r.row,
        account: r.account ?? null,
        facts: r.facts ?? null,
      })),
  ),
  counts: tickCounts,
  settled: z.object({
    exceptions: z.array(z.object({ id: z.string(), claim_id: z.string(), verdict: z.string() })),
  }),
  closed: z.boolean(),
  outcome: z.enum(['ran', 'idle', 'skipped', 'paused', 'died']).nullable(),
  probing: z.array(z.string()),
  due: z.number().nullable(),
  next_due_in_ms: z.number().nullable(),
  checks_due: z.boolean(),
  schema: z.string().nullish(),
});

const unknownRows = z.array(
  z
    .object({
      id: z.string(),
      claim_id: z.string(),
      attempted_at: z.string(),
      over_seconds: z.number(),
      row: tableRow,
      account: account.nullish(),
      evidence: z.unknown(),
    })
    .transform((u) => ({
      id: u.id,
      claimId: u.claim_id,
      attemptedAt: u.attempted_at,
      overSeconds: u.over_seconds,
      row: u.row,
      account: u.account ?? null,
      evidence: u.evidence ?? null,
    })),
);

const checkedCounts = z.object({
  checked: z.number(),
  done: z.number(),
  absent: z.number(),
  dead: z.number(),
});

/**
 * The engine's store over SQL functions. `now` is for tests and simulations that move time; without it the database's clock applies.
 *
 * Until an exchange has a response, each names the schema version that this code needs. A database that is behind refuses it before it does
 * anything. `onNewerSchema` is called if the database is ahead, which does no harm.
 */
export function queueStore(
  rpc: Rpc,
  now?: () => Date,
  onNewerSchema: (version: string) => void = () => {},
): QueueStore {
  let isSchemaKnown = false;
  return {
    async exchange(request): Promise<ExchangeReply> {
      const response = reply.parse(
        await rpc('exchange', {
          p_tick: {
            id: request.tick.id,
            queue: request.tick.queue,
            partition: request.tick.partition,
            scheduler: storable(request.tick.scheduler),
            path: storable(request.tick.path),
            schedule: storable(request.tick.schedule),
            slot: request.tick.slot,
            continuation: request.tick.continuation,
            run_id: request.tick.runId,
            limit_seconds: request.tick.limitSeconds,
            lock: request.tick.lock,
            providers: request.tick.providers,
            reconciles: request.tick.reconciles,
            asked_for: request.tick.asked?.state,
            asked_limit: request.tick.asked?.limit,
            call_ms: request.callMs,
            ...(!isSchemaKnown && { schema: schemaVersion }),
          },
          p_seq: request.seq,
          p_outcomes: outcomes(request),
          p_want: request.want,
          p_close: request.close,
          p_report: storable(request.report),
          ...(now && { p_now: now().toISOString() }),
        }),
      );
      const { settled, claim_id, next_due_in_ms, checks_due, schema, ...rest } = response;
      if (!isSchemaKnown) {
        if (schema && schemaState(schema) === 'ahead') onNewerSchema(schema);
        isSchemaKnown = true;
      }
      const refused = settled.exceptions.filter(({ verdict }) => verdict === 'refused');
      return {
        ...rest,
        claimId: claim_id,
        refused: refused.map((one) => ({ id: one.id, claimId: one.claim_id })),
        nextDueInMs: next_due_in_ms,
        checksDue: checks_due,
      };
    },
    async takeUnknown({ queue, providers, leaseSeconds }) {
      return unknownRows.parse(
        await rpc('take_unknown', {
          p_queue: queue,
          p_providers: providers,
          p_lease_seconds: leaseSeconds,
          ...(now && { p_now: now().toISOString() }),
        }),
      );
    },
    async settleFindings(queue, findings) {
      const { checked, done, absent, dead } = checkedCounts.parse(
        await rpc('settle_findings', {
          p_queue: queue,
          p_findings: findings.map(finding),
          ...(now && { p_now: now().toISOString() }),
        }),
      );
      return { checked, resolved: done + absent + dead };
    },
  };
}

/** Sends `done` without a result or a duration, the most common outcome, as ids by claim, and the others as records. */
function outcomes({ settlements, providers, progress }: ExchangeRequest): object {
  const done = new Map<string, string[]>();
  const records: object[] = [];
  for (const settlement of settlements) {
    if (settlement.outcome === 'done' && settlement.result === undefined && settlement.ms === undefined) {
      const ids = done.get(settlement.claimId);
      if (ids) ids.push(settlement.id);
      else done.set(settlement.claimId, [settlement.id]);
    } else records.push(record(settlement));
  }
  return {
    done: [...done].map(([claim_id, ids]) => ({ claim_id, ids })),
    records,
    providers: storable(providers),
    progress: progress.map(({ id, claimId, value }) => ({
      id,
      claim_id: claimId,
      progress: storable(value),
    })),
  };
}

/** JSON leaves out undefined fields. */
function record(settlement: Settlement): object {
  return {
    id: settlement.id,
    claim_id: settlement.claimId,
    outcome: settlement.outcome,
    error: storable(settlement.error),
    result: storable(settlement.result),
    delay_seconds: settlement.delaySeconds,
    rate_limited: settlement.rateLimited,
    limit_scope: settlement.limitScope,
    account_id: settlement.accountId,
    account_pause_seconds: settlement.accountPauseSeconds,
    refused: settlement.refused,
    refusal: storable(settlement.refusal),
    unreadable: settlement.unreadable,
    ms: settlement.ms,
    kind: storable(settlement.kind),
    code: storable(settlement.code),
    answer: storable(settlement.answer),
  };
}

function finding({ id, claimId, overSeconds, finding, failed }: CheckedRow): object {
  return {
    id,
    claim_id: claimId,
    over_seconds: overSeconds,
    proof: finding.proof.map(({ messageId, result }) => ({
      message_id: storable(messageId),
      result: storable(result),
    })),
    candidates: storable(finding.candidates),
    absent_after_seconds: finding.absentAfterMs === null ? null : finding.absentAfterMs / 1_000,
    text: storable(finding.text),
    failed,
  };
}

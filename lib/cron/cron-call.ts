import { z } from 'zod';
import { startBudget } from '../engine/budget';
import { type Clock, systemClock } from '../engine/ports/clock';
import type { StopSignal } from '../engine/stop-signal';
import { callHeaders } from './call-headers';
import { readSchedule, readScheduler, readSlot } from './slots/slot';

/** One call of a clock, however it came: over HTTP, or in the worker's own process. */
export interface CronCall {
  /** What the scheduler's entry names, with the part of the query that says what to do: `/api/cron/jobs?partition=reports`. */
  path: string;
  params: URLSearchParams;
  scheduler: string;
  /** ISO 8601; null where it is not known. */
  slot: string | null;
  /** A cron expression in UTC; null where it is not known. */
  schedule: string | null;
  /** 0 for what a scheduler asked for, one more for each call that goes on where one ended. */
  continuation: number;
  /** A UUID, shared by a call's ticks and the continuations after it. */
  runId: string;
  /** The first line of the handler, in the clock's milliseconds. */
  startedAt: number;
  /** In seconds: what the platform gives the call, and a tick of our own takes at most. */
  maxDuration: number;
  /** Somebody may want the process to end. */
  stop?: StopSignal;
  /** Work ends then, if not before, in the clock's milliseconds. */
  endBy?: number;
}

const continuationText = z.string().regex(/^\d{1,4}$/);
const runIdText = z.uuid();

/** What a request with the secret says of its scheduler. What makes no sense counts as not said. */
export function readCall(
  request: Request,
  { maxDuration, startedAt = systemClock.now() }: { maxDuration: number; startedAt?: number },
): CronCall {
  const { headers } = request;
  const { pathname, searchParams } = new URL(request.url);
  const continuation = continuationText.safeParse(headers.get(callHeaders.continuation));
  const runId = runIdText.safeParse(headers.get(callHeaders.runId));
  // A continuation without its run id would be taken for the scheduler's own call.
  const goesOn = continuation.success && runId.success;
  return {
    path: pathOf(pathname, searchParams),
    params: searchParams,
    scheduler: readScheduler(headers),
    slot: readSlot(headers, Date.now()),
    schedule: readSchedule(headers),
    continuation: goesOn ? Number(continuation.data) : 0,
    runId: goesOn ? runId.data : crypto.randomUUID(),
    startedAt,
    maxDuration,
  };
}

/** Whether work of up to `ms` milliseconds may still start. */
export type Admits = (ms: number) => boolean;

/** Admits work that fits into the call's budget, and none once the process is to stop. */
export function admitsOf(clock: Clock, { startedAt, maxDuration, stop }: CronCall): Admits {
  const budget = startBudget(clock, startedAt, maxDuration * 1_000);
  return (ms) => !stop?.signal.aborted && budget.admits(ms);
}

/** The ledger keeps the path, so only a query parameter that can hold no secret is part of it. */
function pathOf(pathname: string, params: URLSearchParams): string {
  const partition = params.get('partition');
  const query = partition === null ? '' : `?partition=${encodeURIComponent(partition)}`;
  return `${pathname}${query}`.slice(0, 1_000);
}

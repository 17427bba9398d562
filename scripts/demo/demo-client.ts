import { z } from 'zod';
import { enrolmentSchema, enrolmentWithTimeline, sequenceSchema } from '../../lib/store/conversations.ts';
import { incidentPage, monitorPage } from '../../lib/store/monitoring.ts';
import { type Stats, statsSchema } from '../../lib/store/stats.ts';
import type { ReportedSequence, WatchedSequence } from './check-sequence.ts';
import { type Delivery, deliveriesOf, type Reply, repliesOf } from './deliveries.ts';
import { DemoError } from './demo-error.ts';
import type { DemoAccount } from './inputs/demo-accounts.ts';
import type { DemoJob } from './inputs/demo-jobs.ts';
import { type DemoMonitor, isLeftOver } from './inputs/demo-monitors.ts';
import type { DemoPost } from './inputs/demo-posts.ts';
import type { DemoReply } from './inputs/demo-replies.ts';
import type { DemoRow } from './inputs/demo-rows.ts';
import type { DemoPerson, DemoSequence } from './inputs/demo-sequences.ts';
import { countIncidents } from './watch-line.ts';

const timeoutMs = 60_000;
const runJobsResponse = z.object({
  reports: z.array(z.object({ counts: z.object({ done: z.number(), dead: z.number() }) })),
});
const sequenceList = z.object({ sequences: z.array(sequenceSchema) });
const enrolmentList = z.object({ enrolments: z.array(enrolmentSchema) });
/** The most rows of one call. */
const chunk = 1_000;

/** Calls the app and the sandbox over their public HTTP APIs. */
export class DemoClient {
  constructor(
    private readonly app: string,
    private readonly sandbox: string,
    private readonly apiKey: string,
    private readonly cronSecret: string,
  ) {}

  async saveAccount(account: DemoAccount): Promise<DemoAccount & { id: string }> {
    const saved = (await this.#call('POST', '/api/accounts', account)) as { account: { id: string } };
    return { ...account, id: saved.account.id };
  }

  sendDms(dms: DemoRow[]): Promise<void> {
    return this.#postAll('/api/dms', dms);
  }

  publishPosts(posts: DemoPost[]): Promise<void> {
    return this.#postAll('/api/posts', posts);
  }

  createJobs(jobs: DemoJob[]): Promise<void> {
    return this.#postAll('/api/jobs', jobs);
  }

  /** Adds the monitors that do not exist yet, and deletes those of an earlier demo on another port. */
  async createMonitors(monitors: DemoMonitor[]): Promise<void> {
    const { monitors: all } = monitorPage.parse(await this.#call('GET', '/api/monitors?limit=200'));
    for (const one of all)
      if (isLeftOver(one, this.sandbox)) await this.#call('DELETE', `/api/monitors/${one.id}`);
    await this.#postAll('/api/monitors', monitors);
  }

  /** Counts among the latest 200 incidents. */
  async incidentsSince(sinceMs: number): Promise<ReturnType<typeof countIncidents>> {
    const { incidents } = incidentPage.parse(await this.#call('GET', '/api/incidents?limit=200'));
    return countIncidents(incidents, sinceMs);
  }

  async rollUp(): Promise<void> {
    await this.#call('GET', '/api/cron/analytics', undefined, this.cronSecret);
  }

  /** Retries up to 10 failed jobs, and returns how many succeeded and failed again. */
  async runFailed(): Promise<{ done: number; failed: number }> {
    const { reports } = runJobsResponse.parse(
      await this.#call('POST', '/api/jobs/run?queue=failed&limit=10'),
    );
    const sum = (count: 'done' | 'dead') => reports.reduce((total, { counts }) => total + counts[count], 0);
    return { done: sum('done'), failed: sum('dead') };
  }

  async failedJobs(): Promise<number> {
    return (await this.stats()).find(({ name }) => name === 'jobs')?.states.dead.count ?? 0;
  }

  async stats(): Promise<Stats['queues']> {
    return statsSchema.parse(await this.#call('GET', '/api/stats')).queues;
  }

  /**
   * Creates the sequence if none has its name, and enrols the people in it. Stops enrolments that an earlier demo left active, because the log that
   * they would be compared with is gone.
   */
  async enrol(sequence: DemoSequence, people: DemoPerson[]): Promise<WatchedSequence> {
    const { sequences } = sequenceList.parse(await this.#call('GET', '/api/sequences'));
    const found =
      sequences.find(({ name }) => name === sequence.name) ??
      sequenceSchema.parse(await this.#call('POST', '/api/sequences', sequence));
    for (const phase of ['in_progress', 'waiting_reply']) {
      const path = `/api/enrolments?sequence=${found.id}&phase=${phase}&limit=200`;
      const { enrolments } = enrolmentList.parse(await this.#call('GET', path));
      for (const { id } of enrolments) await this.#call('POST', `/api/enrolments/${id}/stop`, {});
    }
    await this.#postAll(`/api/sequences/${found.id}/enrolments`, people);
    return { id: found.id, sequence, people, before: found.funnel.steps };
  }

  /** Returns the app's figures of a sequence since it was `watched`. Each timeline is a call of its own. */
  async readSequence(
    watched: WatchedSequence,
    withTimelines = false,
  ): Promise<ReportedSequence & { phases: string[] }> {
    const { funnel } = sequenceSchema.parse(await this.#call('GET', `/api/sequences/${watched.id}`));
    // The latest 200 contain all enrolments of this demo.
    const { enrolments } = enrolmentList.parse(
      await this.#call('GET', `/api/enrolments?sequence=${watched.id}&limit=200`),
    );
    const recipients = new Set(watched.people.map(({ recipient }) => recipient));
    const own = enrolments.filter(({ recipient }) => recipients.has(recipient ?? ''));
    const timelines = await Promise.all(own.map(({ id }) => (withTimelines ? this.#sentSteps(id) : [])));
    return {
      steps: funnel.steps.map(({ sent, reminded }, index) => ({
        sent: sent - (watched.before[index]?.sent ?? 0),
        reminded: reminded - (watched.before[index]?.reminded ?? 0),
      })),
      people: new Map(
        own.map(({ recipient, last_reply }, index) => [
          recipient ?? '',
          { timeline: timelines[index] ?? [], lastReply: last_reply },
        ]),
      ),
      phases: own.map(({ phase }) => phase),
    };
  }

  async #sentSteps(id: string): Promise<string[]> {
    const { timeline } = enrolmentWithTimeline.parse(await this.#call('GET', `/api/enrolments/${id}`));
    return timeline.flatMap(({ event, step }) =>
      event === 'sent' ? [`${step}`] : event === 'reminded' ? [`${step}r`] : [],
    );
  }

  deliveries(): Promise<Delivery[]> {
    return this.#callSandbox('/deliveries').then(deliveriesOf);
  }

  replies(): Promise<Reply[]> {
    return this.#callSandbox('/replies').then(repliesOf);
  }

  /** Makes people write, and waits until the app has the webhooks of it. Rejects with a `DemoError` after a minute. */
  async write(replies: DemoReply[]): Promise<void> {
    await this.#callSandbox('/replies', { method: 'POST', body: JSON.stringify(replies) });
    const until = Date.now() + timeoutMs;
    while ((await this.replies()).some((reply) => reply.reported_at === null)) {
      if (Date.now() > until) {
        throw new DemoError(
          `The app did not accept the webhooks of people's replies within ${timeoutMs / 1_000} s. See .data/demo-logs/app.log.`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  async #callSandbox(path: string, init?: RequestInit): Promise<unknown> {
    const response = await fetch(this.sandbox + path, { ...init, signal: AbortSignal.timeout(timeoutMs) });
    if (response.ok) return response.json();
    throw new DemoError(`${path} of the sandbox answered ${response.status}: ${await response.text()}`);
  }

  /** Resolves when the sandbox and the app are healthy. Rejects with a `DemoError` after `withinMs`, or as soon as waiting cannot help. */
  async healthy(withinMs: number): Promise<void> {
    const until = Date.now() + withinMs;
    for (const url of [`${this.sandbox}/`, `${this.app}/api/health`]) {
      for (let status = await statusOf(url); status !== 200; status = await statusOf(url)) {
        const isLate = Date.now() > until;
        // Health says only that something is wrong. The response of the statistics says why.
        const reason = status === 503 || isLate ? await this.#reason() : null;
        if (isLate)
          throw new DemoError(`${url} was not healthy after ${withinMs / 1_000} s: ${reason?.message}`);
        if (reason?.kind === 'database_misconfigured') {
          throw new DemoError(
            `${reason.message}\nTo start again with an empty database: npm run demo -- --fresh`,
          );
        }
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
  }

  async #reason(): Promise<{ kind: string; message: string }> {
    try {
      await this.stats();
      return { kind: 'none', message: 'but GET /api/stats responds' };
    } catch (error) {
      const message = (error as Error).message;
      return { kind: /"kind":"(\w+)"/.exec(message)?.[1] ?? 'unknown', message };
    }
  }

  async #postAll(path: string, rows: object[]): Promise<void> {
    for (let start = 0; start < rows.length; start += chunk)
      await this.#call('POST', path, rows.slice(start, start + chunk));
  }

  async #call(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body?: unknown,
    token = this.apiKey,
  ): Promise<unknown> {
    const response = await fetch(this.app + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = await response.text();
    if (response.ok) return JSON.parse(text);
    throw new DemoError(`${method} ${path} answered ${response.status}: ${text.slice(0, 500)}`);
  }
}

/** Returns null if there is no response. */
async function statusOf(url: string): Promise<number | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return null;
  }
}

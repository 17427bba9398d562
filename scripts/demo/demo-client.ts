import { z } from 'zod';
import { incidentPage, monitorPage } from '../../lib/store/monitoring';
import { type Stats, statsSchema } from '../../lib/store/stats';
import { type Delivery, deliveriesOf } from './deliveries';
import type { DemoAccount } from './demo-accounts';
import { DemoError } from './demo-error';
import type { DemoJob } from './demo-jobs';
import { type DemoMonitor, isLeftOver } from './demo-monitors';
import type { DemoPost } from './demo-posts';
import type { DemoRow } from './demo-rows';
import { countIncidents } from './watch-line';

const timeoutMs = 20_000;
const reran = z.object({
  reports: z.array(z.object({ counts: z.object({ done: z.number(), dead: z.number() }) })),
});
/** The most that one call takes. */
const chunk = 1_000;

/** The app and the sandbox over HTTP, as anybody would call them. */
export class DemoClient {
  constructor(
    private readonly app: string,
    private readonly sandbox: string,
    private readonly apiKey: string,
    private readonly cronSecret: string,
  ) {}

  async saveAccount(account: DemoAccount): Promise<DemoAccount & { id: string }> {
    const answer = (await this.#call('POST', '/api/accounts', account)) as { account: { id: string } };
    return { ...account, id: answer.account.id };
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

  /** Adds those that are not there yet; those of an earlier demo over another port go. */
  async createMonitors(monitors: DemoMonitor[]): Promise<void> {
    const { monitors: all } = monitorPage.parse(await this.#call('GET', '/api/monitors?limit=200'));
    for (const one of all)
      if (isLeftOver(one, this.sandbox)) await this.#call('DELETE', `/api/monitors/${one.id}`);
    await this.#postAll('/api/monitors', monitors);
  }

  /** Of the latest 200. */
  async incidentsSince(sinceMs: number): Promise<ReturnType<typeof countIncidents>> {
    const { incidents } = incidentPage.parse(await this.#call('GET', '/api/incidents?limit=200'));
    return countIncidents(incidents, sinceMs);
  }

  async rollUp(): Promise<void> {
    await this.#call('GET', '/api/cron/analytics', undefined, this.cronSecret);
  }

  /** Runs failed jobs once more, and answers what became of them. */
  async runFailed(): Promise<{ done: number; failed: number }> {
    const { reports } = reran.parse(await this.#call('POST', '/api/jobs/run?queue=failed&limit=10'));
    const sum = (count: 'done' | 'dead') => reports.reduce((total, { counts }) => total + counts[count], 0);
    return { done: sum('done'), failed: sum('dead') };
  }

  async stats(): Promise<Stats['queues']> {
    return statsSchema.parse(await this.#call('GET', '/api/stats')).queues;
  }

  async deliveries(): Promise<Delivery[]> {
    const response = await fetch(`${this.sandbox}/deliveries`, { signal: AbortSignal.timeout(timeoutMs) });
    return deliveriesOf(await response.json());
  }

  /** Resolves when both are well. Rejects with a `DemoError`: after `withinMs`, or as soon as waiting is of no use. */
  async healthy(withinMs: number): Promise<void> {
    const until = Date.now() + withinMs;
    for (const url of [`${this.sandbox}/`, `${this.app}/api/health`]) {
      for (let status = await statusOf(url); status !== 200; status = await statusOf(url)) {
        const late = Date.now() > until;
        // Health says only that something is wrong; the figures' answer says what.
        const reason = status === 503 || late ? await this.#reason() : null;
        if (late) throw new DemoError(`${url} was not well after ${withinMs / 1_000} s: ${reason?.message}`);
        if (reason?.kind === 'database_misconfigured') {
          throw new DemoError(`${reason.message}\nThe demo's own data may go: npm run demo -- --fresh`);
        }
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
  }

  async #reason(): Promise<{ kind: string; message: string }> {
    try {
      await this.stats();
      return { kind: 'none', message: 'but it has figures' };
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

/** Null where there is no answer. */
async function statusOf(url: string): Promise<number | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return null;
  }
}

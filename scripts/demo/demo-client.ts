import { type Stats, statsSchema } from '../../lib/store/stats';
import { type Delivery, deliveriesOf } from './deliveries';
import type { DemoAccount } from './demo-accounts';
import { DemoError } from './demo-error';
import type { DemoRow } from './demo-rows';

const timeoutMs = 20_000;
/** The most that one call of `POST /api/dms` takes. */
const chunk = 1_000;

/** The app and the sandbox over HTTP, as anybody would call them. */
export class DemoClient {
  constructor(
    private readonly app: string,
    private readonly sandbox: string,
    private readonly apiKey: string,
  ) {}

  async saveAccount(account: DemoAccount): Promise<DemoAccount & { id: string }> {
    const answer = (await this.#call('POST', '/api/accounts', account)) as { account: { id: string } };
    return { ...account, id: answer.account.id };
  }

  async enqueue(rows: DemoRow[]): Promise<void> {
    for (let start = 0; start < rows.length; start += chunk) {
      await this.#call('POST', '/api/dms', rows.slice(start, start + chunk));
    }
  }

  async stats(): Promise<Stats['queues'][number]> {
    const stats = statsSchema.parse(await this.#call('GET', '/api/stats'));
    const queue = stats.queues.find(({ name }) => name === 'dm_queue');
    if (!queue) throw new Error('the app has no queue dm_queue');
    return queue;
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

  async #call(method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(this.app + path, {
      method,
      headers: { authorization: `Bearer ${this.apiKey}`, 'content-type': 'application/json' },
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

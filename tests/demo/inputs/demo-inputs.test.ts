import { describe, expect, it } from 'vitest';
import { handlers } from '@/jobs/handlers.ts';
import { monitorInput } from '@/lib/queues/monitors/monitor-fields.ts';
import { Sites } from '@/lib/sandbox/sites.ts';
import { demoAccounts } from '@/scripts/demo/inputs/demo-accounts.ts';
import { demoJobs } from '@/scripts/demo/inputs/demo-jobs.ts';
import { demoMonitors, isLeftOver } from '@/scripts/demo/inputs/demo-monitors.ts';
import { demoPosts } from '@/scripts/demo/inputs/demo-posts.ts';

const NOW_MS = Date.UTC(2030, 0, 15, 12);
const sandbox = 'http://127.0.0.1:4010';

describe('the jobs of the demo', () => {
  const jobs = demoJobs('r1', NOW_MS);
  const inQueue = (queue: string) => jobs.filter((job) => job.queue === queue);

  it('are 40 due jobs that the registry accepts, each with its own key', () => {
    expect([jobs.length, new Set(jobs.map((job) => job.unique_key)).size]).toEqual([40, 40]);
    for (const { name, payload, run_at } of jobs) {
      expect(Date.parse(run_at)).toBeLessThan(NOW_MS);
      const job = handlers[name as keyof typeof handlers];
      expect(job?.payload.safeParse(payload).error, name).toBeUndefined();
    }
  });

  it('include two that fail for good and are to be retried: one succeeds then, the other fails again', () => {
    const failing = inQueue('default').filter(({ max_attempts }) => max_attempts === 1);
    expect(failing.map(({ payload }) => payload)).toEqual([{ times: 100 }, { times: 1 }]);
  });

  it('include ten in `blocking`, in order behind a head that fails once and is retried', () => {
    const [head, ...rest] = inQueue('blocking');
    expect(head).toMatchObject({ name: 'fail-first', payload: { times: 1 } });
    expect(head?.max_attempts).toBeUndefined();
    expect(rest.map(({ name }) => name)).toEqual(Array(9).fill('nap'));
    const due = inQueue('blocking').map(({ run_at }) => run_at);
    expect(due).toEqual([...due].sort());
  });
});

describe('the posts of the demo', () => {
  const accounts = demoAccounts.map((account, index) => ({ ...account, id: `id-${index}` }));
  const plan = (runId = 'r1') => demoPosts(accounts, sandbox, runId, NOW_MS);

  it('are 24, each with its own key and text, and share none with another run', () => {
    const posts = [...plan('r1'), ...plan('r2')];
    for (const field of ['idempotency_key', 'body'] as const)
      expect(new Set(posts.map((post) => post[field])).size).toBe(48);
  });

  it('belong to LinkedIn accounts whose daily limit exceeds 24, and include six pictures', () => {
    const authors = new Set(plan().map((post) => accounts.find(({ id }) => id === post.account_id)));
    expect([...authors].map((author) => author?.provider)).toEqual(Array(4).fill('unipile'));
    for (const author of authors) expect(author?.daily_limit).toBeGreaterThan(24);
    const pictures = plan().flatMap((post) => post.media_urls);
    expect(pictures).toHaveLength(6);
    for (const url of pictures) expect(url).toMatch(/^http:\/\/127\.0\.0\.1:4010\/media\/[\w-]+\.png$/);
  });

  it('fall due in order, so that most are published within 90 s', () => {
    const due = plan().map((post) => Date.parse(post.scheduled_for) - NOW_MS);
    expect(due).toEqual([...due].sort((a, b) => a - b));
    const within = (ms: number) => due.filter((one) => one <= ms).length;
    expect([within(-1), within(60_000), within(240_000)]).toEqual([16, 21, 24]);
  });
});

describe('the monitors of the demo', () => {
  const monitors = demoMonitors(sandbox);
  const behaviours = monitors.map(({ url }) => /\/sites\/(\w+)/.exec(url)?.[1] ?? 'tcp');
  const count = (behaviour: string) => behaviours.filter((one) => one === behaviour).length;

  it('are 40 that the API accepts, each with its own name, address and key, of sites that the sandbox has', () => {
    const sites = new Sites();
    for (const monitor of monitors) {
      const { name, url, degraded_ms = 0, timeout_ms = 10_000 } = monitor;
      expect(monitorInput.safeParse(monitor).error, name).toBeUndefined();
      if (url.startsWith('http')) expect(sites.behaviourOf(new URL(url).pathname), url).not.toBeNull();
      expect(degraded_ms).toBeLessThan(timeout_ms);
    }
    for (const field of ['name', 'idempotency_key'] as const)
      expect(new Set(monitors.map((monitor) => monitor[field])).size).toBe(40);
    expect(new Set(monitors.map(({ url }) => url)).size).toBe(40 - count('tcp') + 1);
  });

  it('are mostly up; some are slow, some down in different ways, one flaps, one recovers and two hang', () => {
    expect(count('ok') + count('moved') + count('tcp')).toBe(28);
    expect(Math.min(count('moved'), count('tcp'))).toBeGreaterThan(0);
    expect(count('slow')).toBe(4);
    for (const one of ['down', 'gone', 'closed', 'loop', 'flapping', 'recovering', 'silent', 'drip'])
      expect(count(one), one).toBe(1);
    // A site that hangs times out within a tick.
    const hanging = monitors.filter(({ url }) => /silent|drip/.test(url));
    expect(hanging.map(({ timeout_ms }) => timeout_ms)).toEqual([2_000, 2_000]);
  });

  it('are the same when the demo starts again, and have other keys with another sandbox', () => {
    expect(demoMonitors(sandbox)).toEqual(monitors);
    const others = demoMonitors('http://127.0.0.1:4011').map((monitor) => monitor.idempotency_key);
    expect(monitors.filter((monitor) => others.includes(monitor.idempotency_key))).toEqual([]);
  });

  it('are left over only from an earlier demo on another port', () => {
    const [web, tcp] = ['http://127.0.0.1:4011/sites/ok/shop', 'tcp://127.0.0.1:4011'];
    expect([web, tcp].map((url) => isLeftOver({ url }, sandbox))).toEqual([true, true]);
    const kept = [...monitors, { url: 'https://example.com/' }, { url: 'tls://example.com' }];
    expect(kept.filter((monitor) => isLeftOver(monitor, sandbox))).toEqual([]);
  });
});

import { check, checkAtLeast, checkNone, checkSame, checkText, figure } from '../check.ts';
import { until } from '../page.ts';
import type { Demo } from './demo.ts';
import { apiOf, countRepeats, type Figures, type Row, readFigures, rowsOf } from './figures.ts';

/** Checks the demo's endpoints as a person calls them by curl. */
export async function checkCurl({ address, cronSecret: secret }: Demo): Promise<void> {
  const call = (token?: string) =>
    fetch(`${address}/api/cron/dm-queue`, { headers: token ? { authorization: `Bearer ${token}` } : {} });
  checkSame('a cron endpoint refuses a call without the secret', (await call()).status, 401);
  checkSame('a cron endpoint refuses a wrong secret', (await call(`${secret}x`)).status, 401);
  const report = await call(secret);
  const { queue } = await report.json();
  const found = [report.status, queue];
  checkSame('a cron endpoint returns a report for the right secret', found, [200, 'dm_queue']);
  const many = await Promise.all(Array.from({ length: 100 }, async () => (await call(secret)).status));
  checkSame('100 calls at once all get a 200', [...new Set(many)], [200]);
  const { status } = await fetch(`${address}/api/dms`, { method: 'POST' });
  checkSame('the API refuses a call without a key', status, 401);
}

/** Waits until most of the demo's rows are done, and checks that none was done twice. */
export async function checkRows(demo: Demo): Promise<void> {
  let now = await readFigures(demo);
  const began = Date.now();
  const areDone = ({ sent, published, jobsDone }: Figures) =>
    sent >= 150 && published >= 15 && jobsDone >= 39;
  const read = async () => {
    now = await readFigures(demo);
    return areDone(now);
  };
  await until(read, { withinMs: 600_000, everyMs: 1_000 });
  figure(`${now.sent} sent, ${now.unknown} unknown after ${Math.round((Date.now() - began) / 1_000)} s`);
  checkAtLeast('at least 150 of 200 messages are sent', now.sent, 150);
  checkSame('the sandbox delivered no message twice', countRepeats(now.delivered), 0);
  checkAtLeast('every sent message was delivered', now.delivered.length, now.sent);
  await checkPosts(demo);
  await checkJobs(demo);
  const lines = [/retried with .*: 1 done, 1 failed again/, /[1-9]\d* checks · [1-9]\d* incidents opened/];
  await until(() => lines.every((line) => line.test(demo.output())));
  checkText('the demo prints the retried jobs, the checks and the incidents', demo.output(), lines);
}

/**
 * Checks that rows whose message was delivered and whose response was lost end as sent. `lost`: such a row, which the caller added. The demo's other
 * rows may have none by chance.
 */
export async function checkLost(demo: Demo, lost: string): Promise<void> {
  let now = await readFigures(demo);
  const isResolved = async () => {
    now = await readFigures(demo);
    const { row, state } = await apiOf(demo, `/api/queues/dm_queue/rows/${lost}`);
    return state === 'done' && row.reconcile !== null && now.sent >= now.delivered.length;
  };
  const resolved = await until(isResolved, { withinMs: 900_000, everyMs: 1_000 });
  check('a check or a webhook resolves a message whose response was lost', resolved, now);
  checkSame(
    'every delivered message ends as sent, even if its response was lost',
    now.sent,
    now.delivered.length,
  );
  checkSame('the sandbox still delivered no message twice', countRepeats(now.delivered), 0);
  checkSame('the sandbox published no post twice', countRepeats(now.posted), 0);
}

/** Adds a message that is delivered and whose response is lost. Returns its row. */
export async function addLost(demo: Demo): Promise<string> {
  const { accounts } = await apiOf(demo, '/api/accounts?limit=200');
  const { id } = accounts.find(({ provider }: { provider: string }) => provider === 'unipile');
  const message = { account_id: id, channel: 'linkedin', recipient: 'lost-response', priority: 0 };
  const { rows } = await apiOf(demo, '/api/dms', [{ ...message, body: 'A lost response [[drop-after]]' }]);
  return `${rows[0].id}`;
}

async function checkPosts(demo: Demo): Promise<void> {
  const published = await rowsOf(demo, 'posts', 'published');
  const { posted } = await readFigures(demo);
  checkAtLeast('at least 15 of 21 due posts are published', published.length, 15);
  checkAtLeast('every published post is in the sandbox', posted.length, published.length);
  checkSame('the sandbox published no post twice', countRepeats(posted), 0);
  const without = published.filter(({ row }) => !/^https?:/.test(String(row.permalink)));
  checkNone('every published post has its address', without);
}

/** Checks the demo's jobs in each partition. */
async function checkJobs(demo: Demo): Promise<void> {
  // One attempt, and one more by the retry.
  const failFirst = (times: number) => (job: Row) =>
    job.attempts === 2 &&
    job.row.max_attempts === 2 &&
    (job.row.payload as { times?: number }).times === times;
  let done: Row[] = [];
  let failed: Row[] = [];
  const areOver = async () => {
    [done, failed] = [await rowsOf(demo, 'jobs', 'done'), await rowsOf(demo, 'jobs', 'failed')];
    return done.length >= 39 && failed.some(failFirst(100));
  };
  await until(areOver, { everyMs: 1_000 });
  const inQueue = (queue: string) => done.filter(({ row }) => row.queue === queue);
  checkAtLeast('at least 28 jobs of `default` are done', inQueue('default').length, 28);
  check('one retried job is done', done.some(failFirst(1)), done);
  check('the other retried job failed again after one more attempt', failed.some(failFirst(100)), failed);
  await checkBlocking(demo, inQueue('blocking'));
}

/** Checks the order of the blocking partition by the times in the API. */
async function checkBlocking(demo: Demo, done: Row[]): Promise<void> {
  checkSame('the ten jobs of `blocking` are done', done.length, 10);
  const jobs: { id: string; started_at: string; finished_at: string; attempts: number }[] = [];
  for (const { id } of done.sort((a, b) => Number(a.id) - Number(b.id)))
    jobs.push(await apiOf(demo, `/api/jobs/${id}`));
  const overlaps = jobs.filter(
    (job, n) => n > 0 && Date.parse(job.started_at) < Date.parse(jobs[n - 1]?.finished_at ?? ''),
  );
  checkNone('the jobs of `blocking` ran one at a time and in order', overlaps);
  check('the jobs of `blocking` waited for their head, which failed once', jobs[0]?.attempts === 2, jobs[0]);
}

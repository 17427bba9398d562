import { check, checkAtLeast, checkNone } from './check.ts';
import { countRepeats, fetchApi, figures, type Row, rowsOf } from './demo-figures.ts';

/** Checks that the demo's posts are published once each and have their addresses. */
export async function checkPosts(apiKey: string): Promise<void> {
  const published = await rowsOf(apiKey, 'posts', 'published');
  const { posted } = await figures(apiKey);
  checkAtLeast('at least 15 of 21 due posts are published within 90 s', published.length, 15);
  checkAtLeast('every published post is in the sandbox', posted.length, published.length);
  check('the sandbox published no post twice', countRepeats(posted) === 0, countRepeats(posted));
  const without = published.filter(({ row }) => !/^https?:/.test(String(row.permalink)));
  checkNone('every published post has its address', without);
}

/** Checks the demo's jobs in each partition. */
export async function checkJobs(apiKey: string): Promise<void> {
  const done = await rowsOf(apiKey, 'jobs', 'done');
  const failed = await rowsOf(apiKey, 'jobs', 'failed');
  const inQueue = (queue: string) => done.filter(({ row }) => row.queue === queue);
  checkAtLeast('at least 28 jobs of `default` are done', inQueue('default').length, 28);
  // One attempt, and one more by the retry.
  const failFirst = (times: number) => (job: Row) =>
    job.attempts === 2 &&
    job.row.max_attempts === 2 &&
    (job.row.payload as { times?: number }).times === times;
  check('one retried job is done', done.some(failFirst(1)), done);
  check('the other retried job failed again after one more attempt', failed.some(failFirst(100)), failed);
  await checkBlocking(apiKey, inQueue('blocking'));
}

/** Checks the order of the blocking partition by the times in the API. */
async function checkBlocking(apiKey: string, done: Row[]): Promise<void> {
  check('the ten jobs of `blocking` are done', done.length === 10, done.length);
  const jobs: { id: string; started_at: string; finished_at: string; attempts: number }[] = [];
  for (const { id } of done.sort((a, b) => Number(a.id) - Number(b.id)))
    jobs.push(await fetchApi(apiKey, `/api/jobs/${id}`));
  const overlaps = jobs.filter(
    (job, n) => n > 0 && Date.parse(job.started_at) < Date.parse(jobs[n - 1]?.finished_at ?? ''),
  );
  checkNone('the jobs of `blocking` ran one at a time and in order', overlaps);
  check('the jobs of `blocking` waited for their head, which failed once', jobs[0]?.attempts === 2, jobs[0]);
}

import { check } from './check.ts';
import { asked, figures, type Row, rowsOf, twiceIn } from './demo-figures.ts';

/** Of the demo's posts: published once each, and to be looked at. */
export async function checkPosts(apiKey: string): Promise<void> {
  const published = await rowsOf(apiKey, 'posts', 'published');
  const { posted } = await figures(apiKey);
  check('at least 15 of 21 due posts are published within 90 s', published.length >= 15, published.length);
  check('the sandbox has no post twice', twiceIn(posted) === 0 && posted.length > 0, twiceIn(posted));
  check('every post that is published is there', posted.length >= published.length, posted.length);
  const without = published.filter(({ row }) => !/^https?:/.test(String(row.permalink)));
  check('every post that is published has its address', without.length === 0, without);
}

/** Of the demo's jobs, those of each base queue. */
export async function checkJobs(apiKey: string): Promise<void> {
  const done = await rowsOf(apiKey, 'jobs', 'done');
  const failed = await rowsOf(apiKey, 'jobs', 'failed');
  const inQueue = (queue: string) => done.filter(({ row }) => row.queue === queue);
  check('the jobs of `default` are done', inQueue('default').length >= 28, inQueue('default').length);
  const failFirst = (times: number) => (job: Row) =>
    job.attempts === 2 &&
    (job.row.payload as { times?: number }).times === times &&
    // One to begin with, and one more.
    job.row.max_attempts === 2;
  check(
    'a failed job that was run once more is done',
    done.some(failFirst(1)),
    done.map(({ row }) => row.name),
  );
  check('the other one failed again, and was run only once more', failed.some(failFirst(100)), failed);
  await checkBlocking(apiKey, inQueue('blocking'));
}

/** By the times that the API tells. */
async function checkBlocking(apiKey: string, done: Row[]): Promise<void> {
  check('the ten jobs of `blocking` are done', done.length === 10, done.length);
  const jobs: { id: string; started_at: string; finished_at: string; attempts: number }[] = [];
  for (const { id } of done.sort((a, b) => Number(a.id) - Number(b.id)))
    jobs.push(await asked(apiKey, `/api/jobs/${id}`));
  const overlaps = jobs.filter(
    (job, n) => n > 0 && Date.parse(job.started_at) < Date.parse(jobs[n - 1]?.finished_at ?? ''),
  );
  check('one at a time, and in order', overlaps.length === 0, jobs);
  check('behind their head, which failed once', jobs[0]?.attempts === 2, jobs[0]);
}

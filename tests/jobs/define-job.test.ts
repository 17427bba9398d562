import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineJob } from '../../lib/jobs/define-job.ts';
import { jobsQueue } from '../../lib/queues/jobs/queue.ts';

const payload = z.strictObject({});
const run = () => null;
const define = (job: unknown) => defineJob(job as Parameters<typeof defineJob>[0]);

describe('the definition of a job', () => {
  it.each<[name: string, job: unknown, message: RegExp]>([
    ['no schema', { run }, /payload: is not a zod schema/],
    ['a schema that is not zod’s', { payload: { text: 'string' }, run }, /payload: is not a zod schema/],
    ['no handler', { payload }, /run: is not a function/],
    ['a timeout of 0', { payload, run, timeoutSeconds: 0 }, /timeoutSeconds: /],
    ['a timeout of 1.5 s', { payload, run, timeoutSeconds: 1.5 }, /timeoutSeconds: /],
    ['a timeout of 1,000 s', { payload, run, timeoutSeconds: 1_000 }, /timeoutSeconds: /],
    ['zero attempts', { payload, run, maxAttempts: 0 }, /maxAttempts: /],
    ['an unknown option', { payload, run, timeout: 5 }, /"timeout"/],
  ])('with %s stops the queue jobs from ticking', (_name, job, message) => {
    const queue = jobsQueue({ odd: define(job) });
    expect(queue.fault).toMatch(/^lib\/jobs\/handlers\/odd\.ts: /);
    expect(queue.fault).toMatch(message);
    expect(() => queue.connect(null)).toThrow(queue.fault ?? 'none');
  });

  it('is returned unchanged', () => {
    const job = { payload, run, timeoutSeconds: 5, maxAttempts: 1 };
    expect(defineJob(job)).toBe(job);
    expect(jobsQueue({ job }).fault).toBeNull();
  });

  it('with a longer timeout than the queue allows stops the queue from ticking', () => {
    const slow = defineJob({ payload, run, timeoutSeconds: 31 });
    expect(jobsQueue({ slow }).fault).toBe(
      'lib/jobs/handlers/slow.ts: a timeout of 31 s is more than the 30 s that lib/queues/jobs/queue.ts allows',
    );
  });

  it('that its file does not export stops the queue from ticking', () => {
    expect(jobsQueue({ empty: undefined as never }).fault).toMatch(
      /^lib\/jobs\/handlers\/empty\.ts exports no job/,
    );
  });
});

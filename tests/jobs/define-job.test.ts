import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineJob } from '../../lib/jobs/define-job.ts';
import { jobsQueue } from '../../lib/queues/jobs/queue.ts';

const payload = z.strictObject({});
const run = () => null;

describe('the definition of a job', () => {
  it.each<[name: string, job: unknown, fault: RegExp]>([
    ['no schema', { run }, /: payload: is not a zod schema/],
    ['a schema that is not zod’s', { payload: { text: 'string' }, run }, /: payload: is not a zod schema/],
    ['no handler', { payload }, /: run: is not a function/],
    ['a timeout of 0', { payload, run, timeoutSeconds: 0 }, /: timeoutSeconds: /],
    ['a timeout of 1,000 s', { payload, run, timeoutSeconds: 1_000 }, /: timeoutSeconds: /],
    [
      'a longer timeout than the queue allows',
      { payload, run, timeoutSeconds: 31 },
      /: a timeout of 31 s is more than the 30 s that jobs may have$/,
    ],
    ['zero attempts', { payload, run, maxAttempts: 0 }, /: maxAttempts: /],
    ['an unknown option', { payload, run, timeout: 5 }, /: the job: .*"timeout"/],
    ['no handler at all', undefined, / has no handler: pass defineJob/],
  ])('with %s stops the queue jobs from ticking', (_name, job, fault) => {
    const queue = jobsQueue({ odd: job as ReturnType<typeof defineJob> });
    expect(queue.fault).toMatch(/^job odd/);
    expect(queue.fault).toMatch(fault);
    expect(() => queue.connect({})).toThrow(queue.fault ?? 'none');
  });

  it('is returned unchanged', () => {
    const job = { payload, run, timeoutSeconds: 5, maxAttempts: 1 };
    expect(defineJob(job)).toBe(job);
    expect(jobsQueue({ job }).fault).toBeNull();
  });
});

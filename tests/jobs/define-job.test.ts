import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineJob } from '../../lib/jobs/define-job';
import { jobsQueue } from '../../lib/queues/jobs';

const payload = z.strictObject({});
const run = () => null;
const define = (job: unknown) => () => defineJob(job as Parameters<typeof defineJob>[0]);

describe('a job is checked when it is defined', () => {
  it.each<[what: string, job: unknown, message: RegExp]>([
    ['no schema', { run }, /payload: is no zod schema/],
    ['a schema that is none', { payload: { text: 'string' }, run }, /payload: is no zod schema/],
    ['no handler', { payload }, /run: is no function/],
    ['a timeout of 0', { payload, run, timeoutSeconds: 0 }, /timeoutSeconds: /],
    ['a timeout in parts of seconds', { payload, run, timeoutSeconds: 1.5 }, /timeoutSeconds: /],
    ['no attempt at all', { payload, run, maxAttempts: 0 }, /maxAttempts: /],
    ['a word that means nothing', { payload, run, timeout: 5 }, /"timeout"/],
    ['nothing', undefined, /this is no job/],
  ])('%s is refused', (_what, job, message) => {
    expect(define(job)).toThrow(TypeError);
    expect(define(job)).toThrow(message);
  });

  it('and is what it was', () => {
    const job = { payload, run, timeoutSeconds: 5, maxAttempts: 1 };
    expect(defineJob(job)).toBe(job);
  });
});

describe('the queue jobs', () => {
  it('refuses a job that may take longer than the queue allows', () => {
    const slow = defineJob({ payload, run, timeoutSeconds: 31 });
    expect(() => jobsQueue({ slow })).toThrow(
      'slow: a timeout of 31 s is more than the 30 s that lib/queues/jobs.ts allows',
    );
  });

  it('refuses a file that exports no job', () => {
    expect(() => jobsQueue({ empty: undefined as never })).toThrow(
      'lib/jobs/handlers/empty.ts exports no job',
    );
  });
});

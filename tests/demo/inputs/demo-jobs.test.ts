import { describe, expect, it } from 'vitest';
import { registry } from '@/lib/jobs/registry.ts';
import { demoJobs } from '@/scripts/demo/inputs/demo-jobs.ts';

const NOW_MS = Date.UTC(2030, 0, 15, 12);
const jobs = demoJobs('r1', NOW_MS);
const of = (queue: string) => jobs.filter((job) => job.queue === queue);

describe('the jobs of the demo', () => {
  it('are 40 that are due, each with its own key', () => {
    expect(jobs).toHaveLength(40);
    expect(new Set(jobs.map((job) => job.unique_key)).size).toBe(40);
    for (const job of jobs) expect(Date.parse(job.run_at)).toBeLessThan(NOW_MS);
  });

  it('are of names that there are, with payloads that these take', () => {
    for (const { name, payload } of jobs) {
      const job = registry[name as keyof typeof registry];
      expect(job?.payload.safeParse(payload).error, name).toBeUndefined();
    }
  });

  it('fail for good where somebody is to run them once more: one is done then, one fails again', () => {
    const failing = of('default').filter(({ max_attempts }) => max_attempts === 1);
    expect(failing.map(({ payload }) => payload)).toEqual([{ times: 100 }, { times: 1 }]);
  });

  it('are ten in `blocking`, in order behind one that fails at first and is tried again', () => {
    const [head, ...rest] = of('blocking');
    expect(head).toMatchObject({ name: 'fail-first', payload: { times: 1 } });
    expect(head?.max_attempts).toBeUndefined();
    expect(rest.map(({ name }) => name)).toEqual(Array(9).fill('nap'));
    const due = of('blocking').map(({ run_at }) => run_at);
    expect(due).toEqual([...due].sort());
  });
});

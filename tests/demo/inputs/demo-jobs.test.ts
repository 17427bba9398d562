import { describe, expect, it } from 'vitest';
import { registry } from '@/lib/jobs/registry.ts';
import { demoJobs } from '@/scripts/demo/inputs/demo-jobs.ts';

const NOW_MS = Date.UTC(2030, 0, 15, 12);
const jobs = demoJobs('r1', NOW_MS);
const inQueue = (queue: string) => jobs.filter((job) => job.queue === queue);

describe('the jobs of the demo', () => {
  it('are 40 due jobs, each with its own key', () => {
    expect(jobs).toHaveLength(40);
    expect(new Set(jobs.map((job) => job.unique_key)).size).toBe(40);
    for (const job of jobs) expect(Date.parse(job.run_at)).toBeLessThan(NOW_MS);
  });

  it('have registered names and valid payloads', () => {
    for (const { name, payload } of jobs) {
      const job = registry[name as keyof typeof registry];
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

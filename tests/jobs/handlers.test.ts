import { expect, it } from 'vitest';
import { handlers as registry } from '../../jobs/handlers.ts';
import { silentLog } from '../../lib/engine/ports/log.ts';
import { runJob } from '../../lib/jobs/run-job.ts';

const reported: unknown[] = [];
const run = (name: string, payload: object, changes: { attempt?: number; signal?: AbortSignal } = {}) => {
  const signal = AbortSignal.timeout(10_000);
  const progress = (value: unknown) => void reported.push(value);
  return runJob(
    registry,
    { id: '7', name, payload },
    { attempt: 1, signal, log: silentLog, progress, ...changes },
  );
};
const done = (result: object) => ({ kind: 'done', result: { result } });

it('count-words counts words, characters and lines', async () => {
  expect(await run('count-words', { text: "Ann's well-known\nüber-café 42!" })).toEqual(
    done({ words: 4, characters: 30, lines: 2 }),
  );
  expect(await run('count-words', { text: '' })).toMatchObject(done({ words: 0 }));
});

it('nap waits, reports its progress, and stops when its signal fires', async () => {
  expect(await run('nap', { seconds: 0.01 })).toEqual(done({ slept: 0.01 }));
  expect(reported).toEqual([{ slept: 0, of: 0.01 }]);
  await expect(run('nap', { seconds: 600 }, { signal: AbortSignal.timeout(20) })).rejects.toThrow();
});

it('fail-first fails as often as its payload says', async () => {
  await expect(run('fail-first', { times: 1 })).rejects.toThrow('failed on purpose');
  expect(await run('fail-first', { times: 1 }, { attempt: 2 })).toEqual(done({ attempt: 2 }));
});

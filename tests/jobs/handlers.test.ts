import { describe, expect, it } from 'vitest';
import { silentLog } from '../../lib/engine/ports/log.ts';
import { registry } from '../../lib/jobs/registry.ts';
import { runJob } from '../../lib/jobs/run-job.ts';

const reported: unknown[] = [];
const context = (changes: { attempt?: number; signal?: AbortSignal } = {}) => ({
  attempt: 1,
  signal: AbortSignal.timeout(10_000),
  log: silentLog,
  progress: (value: unknown) => void reported.push(value),
  ...changes,
});
const run = (name: string, payload: object, changes = {}) =>
  runJob(registry, { id: '7', name, payload }, context(changes));

describe('the bundled jobs', () => {
  it('count-words counts words, characters and lines', async () => {
    expect(await run('count-words', { text: "Ann's well-known\nüber-café 42!" })).toEqual({
      kind: 'done',
      result: { result: { words: 4, characters: 30, lines: 2 } },
    });
    expect(await run('count-words', { text: '' })).toMatchObject({ result: { result: { words: 0 } } });
  });

  it('nap waits, and reports its progress', async () => {
    reported.length = 0;
    expect(await run('nap', { seconds: 0.01 })).toEqual({
      kind: 'done',
      result: { result: { slept: 0.01 } },
    });
    expect(reported).toEqual([{ slept: 0, of: 0.01 }]);
  });

  it('nap stops when its signal fires', async () => {
    await expect(run('nap', { seconds: 600 }, { signal: AbortSignal.timeout(20) })).rejects.toThrow();
  });

  it('fail-first fails as often as its payload says', async () => {
    await expect(run('fail-first', { times: 1 })).rejects.toThrow('failed on purpose');
    expect(await run('fail-first', { times: 1 }, { attempt: 2 })).toEqual({
      kind: 'done',
      result: { result: { attempt: 2 } },
    });
  });
});

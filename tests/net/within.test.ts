import { expect, it } from 'vitest';
import { within } from '../../lib/net/within.ts';

const never = new AbortController().signal;
const whenAborted = (signal: AbortSignal) =>
  new Promise<string>((resolve) =>
    signal.addEventListener('abort', () => resolve('aborted'), { once: true }),
  );

it('the signal fires after its time, even if only the work holds it', async () => {
  expect(await within(never, 20, whenAborted)).toBe('aborted');
});

it('the signal fires with the given signal, at once if that has fired already', async () => {
  const outer = new AbortController();
  const ended = within(outer.signal, null, whenAborted);
  outer.abort();
  expect(await ended).toBe('aborted');
  expect(await within(AbortSignal.abort(), null, async (signal) => signal.aborted)).toBe(true);
});

it('the signal fires when the work has succeeded or failed, so that nothing of it goes on', async () => {
  let kept: AbortSignal | undefined;
  const work = async (signal: AbortSignal) => {
    kept = signal;
    return 1;
  };
  expect(await within(never, 1_000, work)).toBe(1);
  expect(kept?.aborted).toBe(true);
  const failing = within(never, 1_000, (signal) => {
    kept = signal;
    return Promise.reject(new Error('no'));
  });
  await expect(failing).rejects.toThrow('no');
  expect(kept?.aborted).toBe(true);
});

import { expect, it } from 'vitest';
import { sharedReading } from '../../lib/services/shared-reading.ts';

function bench() {
  const state = { now: 1_000, reads: 0, fails: false };
  const reading = sharedReading<number>(1_000, () => state.now);
  const read = () =>
    reading.get(async () => {
      state.reads++;
      if (state.fails) throw new Error('the database is away');
      return state.reads;
    });
  return { state, shared: { read, forget: reading.forget } };
}

it('one read serves 100 callers at once and all callers within the second', async () => {
  const { state, shared } = bench();
  expect(new Set(await Promise.all(Array.from({ length: 100 }, shared.read)))).toEqual(new Set([1]));
  state.now += 999;
  expect(await shared.read()).toBe(1);
  state.now += 1;
  expect(await shared.read()).toBe(2);
});

it('a failed read is not kept', async () => {
  const { state, shared } = bench();
  state.fails = true;
  await expect(Promise.all([shared.read(), shared.read()])).rejects.toThrow('the database is away');
  expect(state.reads).toBe(1);
  state.fails = false;
  expect(await shared.read()).toBe(2);
});

it('a value that is forgotten during its read is read again, and the failure of the first read does not drop the second', async () => {
  const { state, shared } = bench();
  state.fails = true;
  const failing = shared.read();
  shared.forget();
  state.fails = false;
  expect(await shared.read()).toBe(2);
  await expect(failing).rejects.toThrow('the database is away');
  expect(await shared.read()).toBe(2);
});

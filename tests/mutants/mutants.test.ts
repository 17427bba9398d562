import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { allMutants as mutants } from './all-mutants.ts';

it('mutants occur exactly once in the code', () => {
  const places = mutants.map(({ name, file, find }) => [
    name,
    readFileSync(file, 'utf8').split(find).length - 1,
  ]);
  expect(places.filter(([, count]) => count !== 1)).toEqual([]);
});

it('mutants have distinct names', () => {
  const names = mutants.map(({ name }) => name);
  expect(names.filter((name, n) => names.indexOf(name) !== n)).toEqual([]);
});

it('mutants name only tests that exist', () => {
  const tests = mutants.flatMap(({ seenBy }) => seenBy ?? []);
  expect(tests.filter((file) => !existsSync(`tests/${file}`))).toEqual([]);
});

import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { allMutants as mutants } from './all-mutants.ts';

it('every mutant has a place in the code, and one', () => {
  const places = mutants.map(({ name, file, find }) => [
    name,
    readFileSync(file, 'utf8').split(find).length - 1,
  ]);
  expect(places.filter(([, count]) => count !== 1)).toEqual([]);
});

it('has a name of its own', () => {
  const names = mutants.map(({ name }) => name);
  expect(names.filter((name, n) => names.indexOf(name) !== n)).toEqual([]);
});

it('names tests that exist, where it names any', () => {
  const tests = mutants.flatMap(({ seenBy }) => seenBy ?? []);
  expect(tests.filter((file) => !existsSync(`tests/${file}`))).toEqual([]);
});

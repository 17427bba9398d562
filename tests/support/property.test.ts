import fc from 'fast-check';
import { expect, it } from 'vitest';
import { assertProperty, seed } from './property.ts';

it("reports a failure in one line: the smallest case, the error, and the command (it's a pattern) that repeats it", async () => {
  const property = fc.asyncProperty(fc.integer({ min: 0, max: 1_000 }), async (n) => {
    expect({ n, list: [1, 2] }).toEqual({ n: Math.min(n, 9), list: [1, 2] });
  });
  const error = await assertProperty(property, { numRuns: 1_000 }).catch((thrown) => thrown);
  expect(error.message).toMatch(/^\[10\] breaks it: .+ \(case \d+, shrunk \d+ times\)\. Repeat: SEED=/);
  expect(error.message).not.toContain('\n');
  const pattern = "command .it.s a pattern. that repeats it'";
  expect(error.message).toMatch(
    new RegExp(`SEED=${seed} npm .+ -- tests/support/property\\.test\\.ts -t '.*${pattern}$`),
  );
  expect(error.cause).toBeInstanceOf(Error);
});

it('draws the same cases from the same seed', async () => {
  const draw = async () => {
    const drawn: number[] = [];
    await assertProperty(fc.property(fc.integer(), (n) => void drawn.push(n)));
    return drawn;
  };
  expect(await draw()).toEqual(await draw());
});

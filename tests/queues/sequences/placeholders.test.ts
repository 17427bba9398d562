import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { placeholderFaults } from '../../../lib/queues/sequences/placeholders.ts';
import { testDatabase } from '../../support/fixtures.ts';
import { assertProperty } from '../../support/property.ts';

const database = testDatabase();

describe('placeholders', () => {
  const plain = fc.string({ unit: 'grapheme', maxLength: 8 }).filter((text) => !/[{}]/.test(text));
  const spaces = fc.constantFrom('', ' ', '  ');
  const valid = fc
    .tuple(spaces, fc.stringMatching(/^[a-z][a-z0-9_]{0,39}$/), spaces)
    .map(([before, name, after]) => `{{${before}${name}${after}}}`);
  const texts = fc.array(fc.oneof(plain, valid), { maxLength: 8 }).map((parts) => parts.join(''));

  it('of the right form are accepted in any position', async () => {
    await assertProperty(
      fc.property(texts, (text) => {
        expect(placeholderFaults(text)).toEqual([]);
      }),
    );
  });

  it('of another form are each reported with their position', async () => {
    const badName = fc.oneof(
      fc.constantFrom(
        ...['', ' ', 'A', '1', '_a', 'a-b', 'a b', 'a.b', 'é', 'a\n', '\ta', '{a', 'a{', 'a'.repeat(41)],
      ),
      plain.filter((name) => !/^ *[a-z][a-z0-9_]* *$/.test(name)),
    );
    await assertProperty(
      fc.property(texts, badName, texts, badName, texts, (one, first, two, second, three) => {
        const faults = placeholderFaults(`${one}{{${first}}}${two}{{${second}}}${three}`);
        const places = faults.map((fault) => Number(/at character (\d+)/.exec(fault)?.[1]));
        const begin = one.length + 1;
        expect(places).toEqual([begin, begin + first.length + 4 + two.length]);
        for (const fault of faults) expect(fault).toContain('not a placeholder: write {{first_name}}');
      }),
    );
  });

  it('that are not closed are reported, whatever follows', async () => {
    await assertProperty(
      fc.property(texts, plain, texts, (one, rest, two) => {
        const faults = placeholderFaults(`${one}{{${rest}${two}`);
        expect(faults).toEqual([
          `has a {{ at character ${one.length + 1} that is not closed: write {{first_name}}`,
        ]);
      }),
    );
  });

  it('that are accepted are all filled in, and nothing else is', async () => {
    const odd = '{{a}}|{{ b_1 }}|{|}|}}|{{|{{}}|{{A}}|$1|\\1|é|&|{{\u00a0a}}|{{a\t}}|{{a}}}|\n| '.split('|');
    const piece = fc.oneof(
      fc.constantFrom(...odd),
      fc.string({ maxLength: 5 }).filter((text) => text.isWellFormed() && !text.includes('\0')),
    );
    await assertProperty(
      fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
        const text = pieces.join('');
        if (placeholderFaults(text).length > 0) return;
        const variables: Record<string, string> = { a: '{{b_1}} $& \\0', b_1: 'B' };
        const [{ filled }] = await database.sql(
          `select jsonb_build_object($3::text, '=' || punctual.fill_in($1, $2)) as filled`,
          [text, JSON.stringify(variables), 'it'],
        );
        const expected = text.split(/(\{\{ *[a-z][a-z0-9_]* *\}\})/).map((part): string | null => {
          const name = /^\{\{ *([a-z][a-z0-9_]*) *\}\}$/.exec(part)?.[1];
          return name === undefined ? part : (variables[name] ?? null);
        });
        expect(filled.it).toBe(expected.includes(null) ? null : `=${expected.join('')}`);
      }),
      { numRuns: 200 },
    );
  });
});

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { testDatabase } from '../support/fixtures.ts';

const database = testDatabase();

const normalized = (sql: string) =>
  sql
    .replaceAll(/--[^\n]*/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();

/** The SQL blocks of the page that begin with `-- "<function>"`, each split at its `…`. */
const excerpts = [
  ...readFileSync('docs/architecture.md', 'utf8').matchAll(/```sql\n-- "([\w.]+)"\n([\s\S]*?)```/g),
].map(([, name = '', sql = '']) => [name, sql.split('…')] as const);

it('docs/architecture.md shows two functions of queues', () => {
  expect(excerpts.map(([name]) => name)).toEqual(['jobs.claim', 'dm_queue.claim']);
});

it.each(excerpts)('docs/architecture.md shows "%s" as it runs', async (name, parts) => {
  const [{ prosrc }] = await database.sql(
    `select prosrc from pg_proc where pronamespace = 'punctual'::regnamespace and proname = $1`,
    [name],
  );
  for (const part of parts) expect(normalized(prosrc)).toContain(normalized(part));
});

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findSourceFaults, findStaleMigrations, makeMigrations } from '../../scripts/made-migrations';

const project = fileURLToPath(new URL('../..', import.meta.url));

describe('the migrations', () => {
  it('are what `npm run migrations:build` makes of their sources', () => {
    expect(findStaleMigrations(project).map(({ file }) => file)).toEqual([]);
  });

  it('use every source once, each under 400 lines', () => {
    expect(findSourceFaults(project)).toEqual([]);
  });
});

describe('a build', () => {
  let root: string;
  const write = (file: string, text: string) => {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), text);
  };
  const list = (manifest: Record<string, string[]>) =>
    write('supabase/schemas/migrations.json', JSON.stringify(manifest));
  const name = '20260101000000_things';
  const made =
    '-- a\n\n-- b\n\n' +
    `select punctual.close_to_public();\nselect punctual.note_migration('20260101000000', 'things');\n`;

  beforeEach(() => {
    root = mkdtempSync(path.join(tmpdir(), 'punctual-sources-'));
    write('supabase/schemas/things/a.sql', '-- a\n');
    write('supabase/schemas/others/b.sql', '-- b\n');
    write(`supabase/migrations/${name}.sql`, made);
    list({ [name]: ['things/a.sql', 'others/b.sql'] });
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('joins the sources in the order of the manifest, and ends the migration', () => {
    expect(makeMigrations(root)).toEqual([{ file: `supabase/migrations/${name}.sql`, sql: made }]);
    expect(findStaleMigrations(root)).toEqual([]);
    expect(findSourceFaults(root)).toEqual([]);
  });

  it('finds a migration that differs, and one that is missing', () => {
    write('supabase/schemas/things/a.sql', '-- another\n');
    list({ [name]: ['things/a.sql'], '20260101000001_more': ['others/b.sql'] });
    expect(findStaleMigrations(root).map(({ file }) => file)).toEqual([
      `supabase/migrations/${name}.sql`,
      'supabase/migrations/20260101000001_more.sql',
    ]);
  });

  it('refuses sources that are unlisted, missing, listed twice or too long, and a migration without any', () => {
    write('supabase/schemas/things/long.sql', '-- line\n'.repeat(400));
    write('supabase/schemas/things/short.sql', '-- line\n'.repeat(399));
    list({
      '20260101000001_more': ['things/short.sql', 'things/short.sql', 'things/gone.sql', 'things/a.sql'],
    });
    expect(findSourceFaults(root)).toEqual([
      expect.stringContaining('others/b.sql is in no migration'),
      expect.stringContaining('things/long.sql is in no migration'),
      expect.stringContaining('things/gone.sql does not exist'),
      expect.stringContaining('things/short.sql is listed twice'),
      expect.stringContaining('things/long.sql has 400 lines'),
      expect.stringContaining(`${name}.sql has no sources`),
    ]);
  });

  it('leaves a person’s own migration alone', () => {
    write('supabase/migrations/20260201000000_own.sql', 'select 1;\n');
    expect(findSourceFaults(root)).toEqual([]);
    expect(findStaleMigrations(root)).toEqual([]);
  });
});

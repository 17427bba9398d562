import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { Change } from '../changes.ts';
import { readPackageMigrations } from './package-files.ts';

export const migrationsFolder = 'supabase/migrations';

/** Returns the names of the SQL files in the app's migrations folder, in order. */
export function listMigrations(root: string): string[] {
  const folder = path.join(root, migrationsFolder);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.sql'))
    .sort();
}

/** Returns the migrations of the installed version that the app's folder lacks. Compares versions, because a file may have been renamed. */
export function missingMigrations(root: string): Change[] {
  const versions = new Set(listMigrations(root).map((name) => name.slice(0, 14)));
  return readPackageMigrations()
    .filter(({ version }) => !versions.has(version))
    .map(({ file, text }) => ({
      file: `${migrationsFolder}/${file}`,
      before: null,
      after: text,
      summary: `${text.split('\n').length.toLocaleString('en-US')} lines of Punctual's SQL`,
    }));
}

/** Says how to push files that are older than the last one there; null if there are none. `punctual migrate` accepts them. */
export function orderHint(root: string, missing: Change[]): string | null {
  const last = listMigrations(root).at(-1);
  if (!last || !missing.some(({ file }) => path.basename(file) < last)) return null;
  return `Some of the new migrations are older than ${last}. npx punctual migrate applies them; with supabase db push, pass --include-all.`;
}

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
/** In the package, the build has copied the migrations beside the command line. */
const folders = ['../../migrations', '../../../supabase/migrations'];

export interface PackageMigration {
  /** Fourteen digits, `YYYYMMDDhhmmss`. */
  version: string;
  /** Its name in an app's folder, where other migrations lie: `20261129000000_punctual_0_2_0.sql`. */
  file: string;
  text: string;
}

/** Reads the migrations of this version of Punctual, in order. */
export function readPackageMigrations(): PackageMigration[] {
  const folder = folders.map((name) => path.join(here, name)).find((name) => existsSync(name));
  if (!folder) throw new Error('the package has no migrations: install it again');
  const names = readdirSync(folder).filter((name) => name.endsWith('.sql'));
  return names.sort().map((name) => {
    const [, version = '', rest = ''] = /^(\d{14})_(.+)$/.exec(name) ?? [];
    const file = `${version}_${rest.startsWith('punctual_') ? '' : 'punctual_'}${rest}`;
    return { version, file, text: readFileSync(path.join(folder, name), 'utf8') };
  });
}

/** Returns the package's version. */
export function packageVersion(): string {
  const file = ['../../../package.json', '../../package.json'].map((name) => path.join(here, name));
  const found = file.map((name) => (existsSync(name) ? JSON.parse(readFileSync(name, 'utf8')) : {}));
  return found.find(({ name, exports }) => name === 'punctual' && exports)?.version ?? 'unknown';
}

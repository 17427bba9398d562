import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** The sources of a build. Migrations are none, because the app reads them when it starts. */
const sources = /^(app|components|lib|worker|public)\/|^[^/]+\.(ts|tsx|mjs|js|json)$/;
const stampFile = '.next/demo-stamp';

/** Whether `.next` holds a build of the current sources. Reads them all, in about 10 ms. */
export function isBuilt(folder: string): boolean {
  return read(folder, stampFile) === stampOf(folder);
}

/** Records a successful build. */
export function stampBuild(folder: string): void {
  writeFileSync(path.join(folder, stampFile), stampOf(folder));
}

/** Hashes the sources and the build's id, so that a later build by another command does not match. */
function stampOf(folder: string): string {
  const files = readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? filesBelow(folder, entry.name) : [entry.name]))
    .filter((file) => sources.test(file) && !file.startsWith('next-env.'))
    .sort();
  const hash = createHash('sha256').update(`${read(folder, '.next/BUILD_ID')} ${process.versions.node}`);
  for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(path.join(folder, file)));
  return hash.digest('hex');
}

function filesBelow(folder: string, name: string): string[] {
  if (!sources.test(`${name}/`)) return [];
  const entries = readdirSync(path.join(folder, name), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath ?? entry.path, entry.name)));
}

function read(folder: string, file: string): string | null {
  try {
    return readFileSync(path.join(folder, file), 'utf8');
  } catch {
    return null;
  }
}

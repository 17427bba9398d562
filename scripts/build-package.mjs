// Builds lib/ as the npm package `punctual` into lib/dist: one .js and .d.ts a file, and the migrations that `npx punctual init` copies.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = path.join(root, 'lib/dist');

rmSync(dist, { recursive: true, force: true });
const tsc = path.join(root, 'node_modules/typescript/bin/tsc');
execFileSync(process.execPath, [tsc, '-p', 'lib/tsconfig.build.json'], { cwd: root, stdio: 'inherit' });

for (const file of ['config.cjs', 'config.d.cts'])
  copyFileSync(path.join(root, 'lib', file), path.join(dist, file));
const migrations = path.join(root, 'supabase/migrations');
mkdirSync(path.join(dist, 'migrations'));
for (const file of readdirSync(migrations).filter((name) => name.endsWith('.sql')))
  copyFileSync(path.join(migrations, file), path.join(dist, 'migrations', file));
chmodSync(path.join(dist, 'cli/main.js'), 0o755);

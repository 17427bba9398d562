// Compiles the worker and the command-line tools into dist/. `npm run worker`, `agent`, `migrate` and `sql` run this first.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const outdir = path.join(root, 'dist');

const { outputFiles } = await build({
  absWorkingDir: root,
  entryPoints: { worker: 'scripts/worker.ts', cli: 'lib/cli/main.ts' },
  outdir,
  bundle: true,
  // Code behind `await import()` stays in separate files, so the worker listens to signals before it loads the rest.
  splitting: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20.9',
  sourcemap: true,
  sourcesContent: false,
  write: false,
});

mkdirSync(outdir, { recursive: true });
// A tool is written after the parts that it loads.
const isTool = ({ path: file }) => /^(worker|cli)\.js$/.test(path.basename(file));
outputFiles.sort((a, b) => isTool(a) - isTool(b));
for (const { path: file, contents } of outputFiles) {
  if (readIfThere(file)?.equals(contents)) continue;
  // Renamed into place, so that a tool that starts meanwhile never reads half a file.
  writeFileSync(`${file}.${process.pid}`, contents);
  renameSync(`${file}.${process.pid}`, file);
}
const built = new Set(outputFiles.map((file) => path.basename(file.path)));
// The files that another build is writing end with its process id. They stay.
for (const name of readdirSync(outdir))
  if (/\.js(\.map)?$/.test(name) && !built.has(name)) rmSync(path.join(outdir, name), { force: true });

function readIfThere(file) {
  try {
    return readFileSync(file);
  } catch {
    return null;
  }
}

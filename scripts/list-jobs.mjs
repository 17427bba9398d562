// Writes lib/jobs/registry.ts: the files in lib/jobs/handlers, imported by name, so that bundlers and types know them. Run by
// next.config.mjs, by the tests, and by hand: node scripts/list-jobs.mjs
import { readdirSync, readFileSync, renameSync, statSync, watch, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ours = fileURLToPath(new URL('../lib/jobs', import.meta.url));

/** The registry of the files in `<folder>/handlers`, as it should be. Throws an error that names a file which can be no job's. */
export function renderRegistry(folder = ours) {
  const handlers = path.join(folder, 'handlers');
  // An editor creates a file before it fills it: until then it would break every route that imports the registry.
  const isFilled = (file) => (statSync(path.join(handlers, file), { throwIfNoEntry: false })?.size ?? 0) > 0;
  const files = readdirSync(handlers).filter((file) => !file.startsWith('.') && isFilled(file));
  const names = files.map((file) => {
    const name = /^([a-z][a-z0-9]*(?:-[a-z0-9]+)*)\.ts$/.exec(file)?.[1];
    if (name && name.length <= 100) return name;
    throw new Error(
      `lib/jobs/handlers/${file}: a job's file is named as the job is, as in "send-receipt.ts"`,
    );
  });
  names.sort();
  const imports = names.map((name) => `import ${identifier(name)} from './handlers/${name}';\n`);
  const entries = names.map((name) => `  '${name}': ${identifier(name)},\n`);
  return `// Written by scripts/list-jobs.mjs from the files in handlers/: change those.
// biome-ignore-all format: written by a script
// biome-ignore-all assist/source/organizeImports: written by a script
${imports.join('')}
export const registry = {
${entries.join('')}};
`;
}

/** Writes the registry where it differs; answers whether it did. */
export function listJobs(folder = ours) {
  const file = path.join(folder, 'registry.ts');
  const registry = renderRegistry(folder);
  if (readIfThere(file) === registry) return false;
  // In one step: a build and a server may do this at once.
  writeFileSync(`${file}.${process.pid}`, registry);
  renameSync(`${file}.${process.pid}`, file);
  return true;
}

/** Keeps the registry as the folder is, as long as the process runs, or until the returned function ends it. */
export function watchJobs(folder = ours) {
  const watcher = watch(path.join(folder, 'handlers'), { persistent: false }, () => {
    try {
      listJobs(folder);
    } catch (error) {
      console.error(error.message);
    }
  });
  return () => watcher.close();
}

/** No two names have one identifier, and none is a word of the language. */
function identifier(name) {
  return `${name.replace(/-([a-z])/g, (_, letter) => letter.toUpperCase()).replaceAll('-', '_')}Job`;
}

function readIfThere(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) listJobs();

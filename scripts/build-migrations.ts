import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { findSourceFaults, findStaleMigrations } from './made-migrations';

const usage = `npm run migrations:build -- [--check]

Makes Punctual's own files of supabase/migrations from the sources in supabase/schemas, as supabase/schemas/migrations.json lists them.
--check writes nothing, and names the files that differ from their sources.

Exit codes: 0 written or nothing to do, 1 a file differs (--check) or the sources have a fault.
`;

const root = fileURLToPath(new URL('..', import.meta.url));
const { values: flags } = parseArgs({
  options: { check: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
});

function build(): number {
  const faults = findSourceFaults(root);
  for (const fault of faults) console.error(fault);
  if (faults.length > 0) return 1;
  const stale = findStaleMigrations(root);
  for (const { file, sql } of stale) {
    if (flags.check) console.error(`${file} differs from its sources. Run npm run migrations:build.`);
    else {
      writeFileSync(path.join(root, file), sql);
      console.log(`wrote ${file}`);
    }
  }
  if (stale.length === 0) console.log('Nothing to do: every migration is what its sources make.');
  return flags.check && stale.length > 0 ? 1 : 0;
}

if (flags.help) process.stdout.write(usage);
else process.exitCode = build();

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Runs `npm run lint` on these files. Returns `<file> <rule>` for each finding about imports or the environment. */
function findingsIn(files: Record<string, string>): string[] {
  const folder = mkdtempSync(path.join(tmpdir(), 'punctual-imports-'));
  try {
    copyFileSync(path.join(root, 'biome.json'), path.join(folder, 'biome.json'));
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
      writeFileSync(path.join(folder, file), `${text}\n`);
    }
    const { stdout } = spawnSync(
      path.join(root, 'node_modules/.bin/biome'),
      ['lint', '--vcs-enabled=false', '--reporter=json', '--max-diagnostics=none', '.'],
      { cwd: folder, encoding: 'utf8' },
    );
    const { diagnostics } = JSON.parse(stdout) as {
      diagnostics: { category: string; location: { path: string } }[];
    };
    const rule = /noRestrictedImports|noImportCycles|noProcessEnv/;
    return diagnostics
      .flatMap(({ category, location }) => {
        const name = rule.exec(category)?.[0];
        return name ? [`${location.path} ${name}`] : [];
      })
      .sort();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Puts each text into a file of its own in its folder. */
function inFiles(texts: [folder: string, text: string][]): Record<string, string> {
  return Object.fromEntries(texts.map(([folder, text], n) => [`${folder}/sample-${n}.ts`, text]));
}

/** Reads pairs of a folder and what a file in it imports: `lib/engine:zod`. */
const importing = (pairs: string) =>
  pairs
    .trim()
    .split(/\s+/)
    .map((pair) => pair.split(':'))
    .map(([folder = '', name]): [string, string] => [folder, `import { b } from '${name}';`]);

describe('npm run lint', () => {
  it('refuses imports that go up, and vendors outside their home folder', () => {
    const files = inFiles([
      ...importing(`
        lib/engine:../store/b lib/engine:@upstash/redis lib/net/checks:../../providers/b lib/jobs:../queues/jobs/queue
        lib/providers/unipile:../../queues/dm-queue/b lib/services:../http/b
        lib/services:@electric-sql/pglite lib/http/auth:../../queues/b lib/http:@/app/page lib/http:next/server
        lib/operate:../queues/jobs/b lib/cron/handlers:../../locks/b lib/cron:../stats/b lib/stats:pg
        components:@/app/(dashboard)/b components/api:@/lib/cron/b components:@/lib/store/queue-store
        app/(dashboard):@/lib/store/queue-store app/api/a:../../../lib/engine/tick app/api/a:@/lib/net/http
        lib/worker:../store/directory-lock lib/worker:../api/jobs lib/api:../locks/b lib/next:../store/rpc
        lib/sandbox:../net/http lib/cli:next/server lib/cli:../next/routes lib/cli/doctor:pg
        lib/client:../cron/b lib/client:pg lib/testing:../api/jobs
        scripts:../app/api/dms/route
      `),
      ['lib/engine', `import type { B } from '../queues/b';`],
      ['lib/engine', `import '../services/b';`],
      ['lib/net', `import type { Log } from '../engine/ports/log';`],
      ['lib/store', `export * from '../locks/b';`],
      ['lib/store', `import {\n  one,\n  two,\n} from '../http/b';`],
      ['lib/locks', `const b = await import('../store/b');`],
      ['lib/queues/jobs', `export { b } from '../../cron/b';`],
      ['app/(dashboard)', `import { type Stats, statsSchema } from '@/lib/store/stats';`],
    ]);
    const findings = Object.keys(files).map((file) => `${file} noRestrictedImports`);
    expect(findingsIn(files)).toEqual(findings.sort());
  });

  it('allows imports that go down, and pages that import types', () => {
    const files = inFiles([
      ...importing(`
        lib/engine:p-limit lib/engine:./b lib/net/checks:../http lib/net/checks:zod lib/providers/unipile:../../net/http
        lib/providers/unipile:../receipt lib/store:@electric-sql/pglite lib/services:pino lib/services:../store/rpc
        lib/queues/jobs:../../jobs/find-job lib/queues/jobs:../../http/page lib/cron/handlers:../../queues/jobs/queue
        app/api/jobs:@/lib/queues/jobs/new-jobs app/(dashboard):swr components:react tests/http:../../app/api/health/route
      `),
      ['app/(dashboard)', `import { type Stats } from '@/lib/store/stats';`],
      ['components', `import type { Stats } from '@/lib/store/stats';`],
      ['lib/worker', `const { LOG_LEVEL } = process.env;`],
    ]);
    expect(findingsIn(files)).toEqual([]);
  });

  it('lets only lib/services/env.ts read the environment in app and lib', () => {
    const url = 'export const url = process.env.SUPABASE_URL;';
    const files = {
      'app/page.tsx': `const { NODE_ENV } = process?.env;`,
      'lib/engine/a.ts': `import { env } from 'node:process';\nexport const url = env.SUPABASE_URL;`,
      'lib/services/env.ts': url,
      'lib/store/a.ts': url,
    };
    const readers = ['app/page.tsx', 'lib/engine/a.ts', 'lib/store/a.ts'];
    expect(findingsIn(files)).toEqual(readers.map((file) => `${file} noProcessEnv`));
  });

  it('refuses import cycles, of types too', () => {
    const files = {
      'worker/a.ts': `import type { B } from './b';\nexport type A = B[];`,
      'worker/b.ts': `import type { A } from './a';\nexport type B = A[];`,
    };
    expect(findingsIn(files)).toEqual(['worker/a.ts noImportCycles', 'worker/b.ts noImportCycles']);
  });
});

/** Split a folder that has more files. */
const maxFiles = 15;

it(`a folder has at most ${maxFiles} files`, () => {
  const sizes = new Map<string, number>();
  for (const top of ['app', 'components', 'jobs', 'lib', 'scripts']) {
    for (const entry of readdirSync(path.join(root, top), { recursive: true, encoding: 'utf8' })) {
      const file = path.posix.join(top, ...entry.split(path.sep));
      if (!/\.\w+$/.test(file) || file.startsWith('lib/dist/')) continue;
      const folder = path.posix.dirname(file);
      sizes.set(folder, (sizes.get(folder) ?? 0) + 1);
    }
  }
  expect([...sizes].filter(([, files]) => files > maxFiles)).toEqual([]);
});

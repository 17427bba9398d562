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

describe('npm run lint', () => {
  it('refuses imports that go up, and vendors outside their home folder', () => {
    const files = inFiles([
      ['lib/engine', `import { b } from '../store/b';`],
      ['lib/engine', `import type { B } from '../queues/b';`],
      ['lib/engine', `import '../services/b';`],
      ['lib/engine', `import { Redis } from '@upstash/redis';`],
      ['lib/net', `import type { Log } from '../engine/ports/log';`],
      ['lib/net/checks', `import { b } from '../../providers/b';`],
      ['lib/providers/unipile', `import { b } from '../../queues/dm-queue/b';`],
      ['lib/jobs', `import { b } from '../queues/jobs/queue';`],
      ['lib/jobs/handlers', `import { b } from '../../services/b';`],
      ['lib/store', `export * from '../locks/b';`],
      ['lib/store', `import {\n  one,\n  two,\n} from '../http/b';`],
      ['lib/locks', `const b = await import('../store/b');`],
      ['lib/services', `import { b } from '../http/b';`],
      ['lib/services', `import { PGlite } from '@electric-sql/pglite';`],
      ['lib/http/auth', `import { b } from '../../queues/b';`],
      ['lib/http', `import Page from '@/app/page';`],
      ['lib/http', `import { NextResponse } from 'next/server';`],
      ['lib/operate', `import { b } from '../queues/jobs/b';`],
      ['lib/queues/jobs', `export { b } from '../../cron/b';`],
      ['lib/cron/handlers', `import { b } from '../../locks/b';`],
      ['lib/cron', `import { b } from '../stats/b';`],
      ['lib/stats', `import pg from 'pg';`],
      ['components', `import { b } from '@/app/(dashboard)/b';`],
      ['components/api', `import { b } from '@/lib/cron/b';`],
      ['components', `import { queueStore } from '@/lib/store/queue-store';`],
      ['app/(dashboard)', `import { queueStore } from '@/lib/store/queue-store';`],
      ['app/(dashboard)', `import { type Stats, statsSchema } from '@/lib/store/stats';`],
      ['app/api/a', `import { tick } from '../../../lib/engine/tick';`],
      ['app/api/a', `import { request } from '@/lib/net/http';`],
      ['worker', `import { lockDirectory } from '../lib/store/directory-lock';`],
      ['worker', `import { GET } from '../app/api/cron/dm-queue/route';`],
      ['sandbox', `import { request } from '../lib/net/http';`],
      ['scripts', `import { POST } from '../app/api/dms/route';`],
    ]);
    expect(findingsIn(files)).toEqual(
      Object.keys(files)
        .map((file) => `${file} noRestrictedImports`)
        .sort(),
    );
  });

  it('allows imports that go down, and pages that import types', () => {
    const files = inFiles([
      ['lib/engine', `import pLimit from 'p-limit';\nimport { b } from './b';`],
      ['lib/net/checks', `import { request } from '../http';\nimport { z } from 'zod';`],
      ['lib/providers/unipile', `import { request } from '../../net/http';\nimport { b } from '../receipt';`],
      ['lib/store', `import { PGlite } from '@electric-sql/pglite';`],
      ['lib/services', `import pino from 'pino';\nimport { b } from '../store/rpc';`],
      ['lib/queues/jobs', `import { b } from '../../jobs/registry';\nimport { c } from '../../http/page';`],
      ['lib/cron/handlers', `import { jobs } from '../../queues/jobs/queue';`],
      ['app/(dashboard)', `import { type Stats } from '@/lib/store/stats';\nimport useSWR from 'swr';`],
      ['app/api/jobs', `import { b } from '@/lib/queues/jobs/new-jobs';`],
      ['components', `import type { Stats } from '@/lib/store/stats';\nimport { useState } from 'react';`],
      ['tests/http', `import { GET } from '../../app/api/health/route';`],
      ['worker', `const { LOG_LEVEL } = process.env;`],
    ]);
    expect(findingsIn(files)).toEqual([]);
  });

  it('lets only lib/services/env.ts read the environment in app and lib', () => {
    const files = {
      'app/page.tsx': `const { NODE_ENV } = process?.env;`,
      'lib/engine/a.ts': `import { env } from 'node:process';\nexport const url = env.SUPABASE_URL;`,
      'lib/services/env.ts': `export const url = process.env.SUPABASE_URL;`,
      'lib/store/a.ts': `export const url = process.env.SUPABASE_URL;`,
    };
    expect(findingsIn(files)).toEqual([
      'app/page.tsx noProcessEnv',
      'lib/engine/a.ts noProcessEnv',
      'lib/store/a.ts noProcessEnv',
    ]);
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

describe('a folder', () => {
  it(`has at most ${maxFiles} files`, () => {
    const sizes = new Map<string, number>();
    for (const top of ['app', 'components', 'lib', 'sandbox', 'scripts', 'worker']) {
      for (const entry of readdirSync(path.join(root, top), { recursive: true, encoding: 'utf8' })) {
        const file = path.posix.join(top, ...entry.split(path.sep));
        if (!/\.\w+$/.test(file)) continue;
        const folder = path.posix.dirname(file);
        sizes.set(folder, (sizes.get(folder) ?? 0) + 1);
      }
    }
    const tooLarge = [...sizes].filter(([, files]) => files > maxFiles).map(([folder]) => folder);
    expect(tooLarge).toEqual([]);
  });
});

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Of ours, what each layer may import besides its own files. Layers that are not named here (scripts, tests, …) may import anything. */
const mayImport: Record<string, string[]> = {
  engine: [],
  net: [],
  providers: ['net'],
  jobs: ['engine'],
  queues: ['operate', 'http', 'services', 'engine', 'net', 'providers', 'store', 'jobs'],
  store: ['engine'],
  locks: ['engine'],
  services: ['engine', 'store', 'locks'],
  http: ['services', 'engine', 'net', 'providers', 'store'],
  operate: ['http', 'services', 'store'],
  cron: ['queues', 'http', 'services', 'engine', 'net', 'store'],
  stats: ['queues', 'http', 'services', 'store'],
  components: ['stats'],
  app: ['components', 'services', 'cron', 'http', 'operate', 'stats', 'queues'],
  worker: ['services', 'cron', 'http', 'queues'],
  sandbox: [],
};

/** The shapes of what the server answers; a type is gone when the code runs. */
const mayImportTypes: Record<string, string[]> = {
  app: ['engine', 'store'],
  components: ['engine', 'store'],
};

/** Nobody imports `app`; only tests call its route handlers. */
const mayImportApp = ['app', 'tests'];

/** Each vendor has one home, so that it can be exchanged there. Scripts, benchmarks and tests may use any. */
const vendorHomes: Record<string, string[]> = {
  '@electric-sql/pglite': ['store'],
  '@supabase/supabase-js': ['store'],
  pg: ['store'],
  '@upstash/redis': ['locks'],
  next: ['app'],
  react: ['app', 'components'],
  'react-dom': ['app'],
  swr: ['app', 'components'],
  pino: ['services', 'worker'],
};
const anyVendor = ['scripts', 'bench', 'tests', 'root'];

interface Import {
  specifier: string;
  typeOnly: boolean;
}

/** Statements begin a line, so comments and most strings are not taken for one. */
function readImports(source: string): Import[] {
  const imports: Import[] = [];
  for (const [, keyword, clause = '', specifier = ''] of source.matchAll(
    /^\s*(import|export)\b\s*(?:([^'"`;()=]*?)\s*\bfrom\s*)?['"]([^'"\n]+)['"]/gm,
  )) {
    if (keyword === 'export' && clause === '') continue;
    imports.push({ specifier, typeOnly: isTypeOnly(clause) });
  }
  for (const [, specifier = ''] of source.matchAll(/\b(?:import|require)\s*\(\s*['"`]([^'"`\n]+)['"`]/g)) {
    imports.push({ specifier, typeOnly: false });
  }
  return imports;
}

function isTypeOnly(clause: string): boolean {
  if (/^type\b/.test(clause)) return true;
  const names = /^\{([\s\S]*)\}$/
    .exec(clause)?.[1]
    ?.split(',')
    .filter((name) => name.trim() !== '');
  return Boolean(names?.length) && (names ?? []).every((name) => /^\s*type\s/.test(name));
}

/** The file's path in the repository, without its extension; null for a package. */
function resolve(importer: string, specifier: string): string | null {
  if (specifier.startsWith('@/')) return specifier.slice(2);
  return specifier.startsWith('.') ? path.posix.join(path.posix.dirname(importer), specifier) : null;
}

function layerOf(file: string): string {
  const [top = '', second = ''] = file.split('/');
  return top === 'lib' ? second : file.includes('/') ? top : 'root';
}

/** What is wrong with the file's imports and its reading of the environment. */
function violations(file: string, source: string): string[] {
  const layer = layerOf(file);
  const found: string[] = [];
  for (const { specifier, typeOnly } of readImports(source)) {
    const target = resolve(file, specifier);
    if (target === null) {
      const vendor = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
      const homes = vendorHomes[vendor];
      if (homes && !homes.includes(layer) && !anyVendor.includes(layer))
        found.push(`${layer} imports ${vendor}`);
      continue;
    }
    const other = layerOf(target);
    if (other === layer) continue;
    const allowed = [
      ...(mayImport[layer] ?? [other]),
      ...(typeOnly ? (mayImportTypes[layer] ?? []) : []),
    ].filter((name) => name !== 'app' || mayImportApp.includes(layer));
    if (!allowed.includes(other)) found.push(`${layer} imports ${other}`);
  }
  const readsEnvironment = source
    .split('\n')
    .filter((line) => !/^\s*(\*|\/\/|\/\*)/.test(line))
    .some((line) => /\bprocess\s*(\?\.|\.)\s*env\b|\bprocess\s*\[|['"](node:)?process['"]/.test(line));
  if (readsEnvironment && /^(lib|app)\//.test(file) && file !== 'lib/services/env.ts')
    found.push('reads process.env');
  return found;
}

function sourceFiles(): string[] {
  const folders = ['lib', 'app', 'components', 'worker', 'sandbox', 'scripts', 'bench'];
  const inFolders = folders
    .filter((folder) => existsSync(path.join(root, folder)))
    .flatMap((folder) =>
      readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' }).map(
        (file) => `${folder}/${file.split(path.sep).join('/')}`,
      ),
    );
  return [...readdirSync(root), ...inFolders].filter((file) => /\.(ts|tsx|mts|mjs)$/.test(file));
}

describe('who imports whom', () => {
  const files = sourceFiles();

  it.each(files)('%s keeps to its layer', (file) => {
    expect(violations(file, readFileSync(path.join(root, file), 'utf8'))).toEqual([]);
  });

  it('is read from the code as it stands: every import of ours leads to a file', () => {
    const edges = files.flatMap((file) =>
      readImports(readFileSync(path.join(root, file), 'utf8')).flatMap(({ specifier }) => {
        const target = resolve(file, specifier);
        return target === null ? [] : [target];
      }),
    );
    expect(edges.length).toBeGreaterThan(100);
    const missing = edges.filter(
      (target) => !['', '.ts', '.tsx'].some((extension) => existsSync(path.join(root, target + extension))),
    );
    expect(missing).toEqual([]);
  });
});

describe('the checker of imports', () => {
  it.each<[file: string, source: string, violation: string]>([
    ['lib/engine/a.ts', `import { b } from '../store/b';`, 'engine imports store'],
    ['lib/engine/a.ts', `import type { B } from '../queues/b';`, 'engine imports queues'],
    ['lib/engine/a.ts', `import '../server/b';`, 'engine imports server'],
    ['lib/engine/a.ts', `import { Redis } from '@upstash/redis';`, 'engine imports @upstash/redis'],
    ['lib/providers/a.ts', `import type { Outcome } from '../engine/outcome';`, 'providers imports engine'],
    ['lib/jobs/a.ts', `import { jobs } from '../queues/jobs';`, 'jobs imports queues'],
    ['lib/jobs/handlers/a.ts', `import { b } from '../../server/b';`, 'jobs imports server'],
    ['lib/queues/a.ts', `export { b } from '../server/b';`, 'queues imports server'],
    ['lib/store/a.ts', `export * from '../locks/b';`, 'store imports locks'],
    ['lib/store/a.ts', `import {\n  one,\n  two,\n} from '../server/b';`, 'store imports server'],
    ['lib/locks/a.ts', `const b = await import('../store/b');`, 'locks imports store'],
    [
      'lib/locks/a.ts',
      `import { createClient } from "@supabase/supabase-js"`,
      'locks imports @supabase/supabase-js',
    ],
    ['lib/server/a.ts', `import Page from '@/app/(dashboard)/page';`, 'server imports app'],
    [
      'lib/server/a.ts',
      `import { PGlite } from '@electric-sql/pglite';`,
      'server imports @electric-sql/pglite',
    ],
    ['lib/server/a.ts', `import { NextResponse } from 'next/server';`, 'server imports next'],
    [
      'app/(dashboard)/page.tsx',
      `import { queueStore } from '@/lib/store/queue-store';`,
      'app imports store',
    ],
    [
      'app/(dashboard)/page.tsx',
      `import { type Stats, statsSchema } from '@/lib/store/stats';`,
      'app imports store',
    ],
    ['app/api/a/route.ts', `import { tick } from '../../../lib/engine/tick';`, 'app imports engine'],
    [
      'worker/main.ts',
      `import { lockDirectory } from '../lib/store/directory-lock';`,
      'worker imports store',
    ],
    ['worker/main.ts', `import { GET } from '../app/api/cron/dm-queue/route';`, 'worker imports app'],
    ['sandbox/a.ts', `import { request } from '../lib/providers/http';`, 'sandbox imports providers'],
    ['scripts/a.ts', `import { POST } from '../app/api/dms/route';`, 'scripts imports app'],
    ['lib/store/a.ts', `const url = process.env.SUPABASE_URL;`, 'reads process.env'],
    ['app/(dashboard)/page.tsx', `const { NODE_ENV } = process?.env;`, 'reads process.env'],
    ['lib/engine/a.ts', `import { env } from 'node:process';`, 'reads process.env'],
  ])('finds in %s: %s', (file, source, violation) => {
    expect(violations(file, source)).toEqual([violation]);
  });

  it.each<[file: string, source: string]>([
    ['lib/engine/a.ts', `import pLimit from 'p-limit';\nimport { b } from './b';`],
    ['lib/providers/a.ts', `import { request } from './http';\nimport { z } from 'zod';`],
    [
      'lib/queues/a.ts',
      `import { unipile } from '../providers/unipile';\nimport type { Outcome } from '../engine/outcome';`,
    ],
    ['lib/store/a.ts', `import { PGlite } from '@electric-sql/pglite';`],
    ['lib/services/env.ts', `export const url = process.env.SUPABASE_URL;`],
    [
      'lib/server/a.ts',
      `/**\n * The only reader of process.env; import { a } from '../app/a' is not for us.\n */`,
    ],
    [
      'app/(dashboard)/page.tsx',
      `import { type Stats } from '@/lib/store/stats';\nimport type { Log } from '@/lib/engine/log';`,
    ],
    ['tests/server/a.test.ts', `import { GET } from '../../app/api/health/route';`],
    ['worker/main.ts', `const { LOG_LEVEL } = process.env;`],
  ])('lets pass in %s: %s', (file, source) => {
    expect(violations(file, source)).toEqual([]);
  });
});

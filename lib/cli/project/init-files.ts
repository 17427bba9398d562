import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { readIfThere } from '../changes.ts';
import { type EnvLine, readEnvNames } from '../edit/env-lines.ts';
import { readPaths } from '../edit/next-config.ts';
import type { Paths } from '../plan.ts';
import type { AppFolder } from './app-folder.ts';

const apiFolder = (app: AppFolder) => `${app.source}app/api/punctual`;

/** The route files with which an app may serve Punctual. */
export function routeFiles(app: AppFolder): string[] {
  const folders = ['[[...path]]', '[...path]'].map((name) => `${apiFolder(app)}/${name}`);
  return folders.flatMap((folder) => ['ts', 'tsx', 'js', 'mjs'].map((ext) => `${folder}/route.${ext}`));
}

/** The file of `definePunctual`, with no queue yet. */
export const definitionText = `import { definePunctual } from 'punctual';

/** The queues and jobs of this app. \`npx punctual add queue <table>\` adds a queue. */
export const punctual = definePunctual({
  queues: [],
});
`;

/** The one route: Next reads \`maxDuration\` and \`dynamic\` only as literals in the app's own file. */
export function routeText(app: AppFolder): string {
  const from = app.alias ? `${app.alias}punctual` : '../../../../punctual';
  const imports = ["import { routes } from 'punctual/next';", `import { punctual } from '${from}';`];
  return `${imports.join('\n')}

// Next reads both only as literals in this file.
export const maxDuration = 60;
export const dynamic = 'force-dynamic';

/** Serves Punctual's API, webhooks, health check and cron paths below /api/punctual. */
export const { GET, POST, PUT, PATCH, DELETE } = routes(punctual, { maxDuration });
`;
}

/** The lines of `.env.example`. docs/environment.md explains them. */
export const exampleLines: EnvLine[] = [
  {
    name: 'CRON_SECRET',
    comment: 'Bearer token of the cron endpoints, a long random string: openssl rand -base64 32',
  },
  { name: 'API_KEY', comment: 'Bearer token of the API.' },
  { name: 'SUPABASE_URL', comment: "The Supabase project's URL." },
  { name: 'SUPABASE_SECRET_KEY', comment: 'A secret key of the project (sb_secret_…).' },
  {
    name: 'DATABASE_URL',
    comment: "The database's connection string, for npx punctual migrate, doctor and worker.",
  },
  { name: 'UPSTASH_REDIS_REST_URL', comment: 'Upstash Redis, the optional lock.', isOptional: true },
  { name: 'UPSTASH_REDIS_REST_TOKEN', isOptional: true },
];

const databaseNames = [
  'SUPABASE_URL',
  'SUPABASE_SECRET_KEY',
  'SUPABASE_SERVICE_ROLE_KEY',
  'DATABASE_URL',
  'STORE',
];

/**
 * The lines of `.env.local` with which the app ticks on this machine without an account. `texts` are the app's `.env` files: what one of them sets
 * is left out, and with a database so is the embedded one.
 */
export function localLines(texts: (string | null)[]): EnvLine[] {
  const known = new Set(
    texts.flatMap((text) => [...readEnvNames(text)].flatMap(([name, value]) => (value ? name : []))),
  );
  const lines: EnvLine[] = [];
  if (!known.has('CRON_SECRET'))
    lines.push({ name: 'CRON_SECRET', value: randomBytes(32).toString('base64url') });
  if (!databaseNames.some((name) => known.has(name))) {
    lines.push({
      name: 'STORE',
      value: 'embedded',
      comment:
        'The embedded database in .data/, which starts empty. Remove this line when you set SUPABASE_URL.',
    });
  }
  return lines;
}

/** The lines that `.gitignore` lacks: secrets and the embedded database stay out of the repository. */
export function ignoreLines(text: string | null): string[] {
  const patterns = (text ?? '').split(/\r?\n/).map((line) => line.trim().replace(/^\//, ''));
  const hasAny = (...names: string[]) => patterns.some((pattern) => names.includes(pattern));
  return [
    ...(hasAny('.env*', '.env.*', '.env*.local', '.env.local', '*.local') ? [] : ['.env*.local']),
    ...(hasAny('.data', '.data/', '.data/punctual') ? [] : ['/.data/']),
  ];
}

/** Returns the name of the app's next.config; null if it has none. */
export function findNextConfig(root: string): string | null {
  const names = ['ts', 'mts', 'mjs', 'js', 'cjs'].map((ext) => `next.config.${ext}`);
  return names.find((name) => existsSync(path.join(root, name))) ?? null;
}

/** Returns the basePath and trailingSlash of the app's next.config, as far as it says them literally. */
export function readAppPaths(root: string): Paths {
  const file = findNextConfig(root);
  return readPaths(file === null ? null : readIfThere(root, file));
}

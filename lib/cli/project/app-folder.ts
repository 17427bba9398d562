import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { readIfThere } from '../changes.ts';
import { CliError } from '../cli-error.ts';
import { withoutJsonComments } from '../edit/json-text.ts';

/** A Next.js app that Punctual is added to. */
export interface AppFolder {
  root: string;
  /** The folder of `app/` and `punctual.ts`, relative to the root. */
  source: '' | 'src/';
  extension: 'ts' | 'js';
  /** The prefix that the tsconfig maps to `source`, such as `@/`; null if there is none. */
  alias: string | null;
  /** The command that adds a package: `npm install`. */
  installs: string;
  dependencies: Record<string, string>;
}

/** Reads what kind of app the folder holds. Throws a `CliError` that says where to run the command if it holds none. */
export function readAppFolder(root: string): AppFolder {
  const dependencies = readDependencies(root);
  if (!dependencies.next) {
    throw new CliError(
      'The package.json here does not depend on next. Run this command in the root folder of your Next.js app.',
    );
  }
  const has = (name: string) => existsSync(path.join(root, name));
  // Next takes `app` and `pages` from one folder. An `app` at the root wins.
  const isInSource = !has('app') && (has('src/app') || (!has('pages') && has('src/pages')));
  const isTyped = has('tsconfig.json');
  const source = isInSource ? 'src/' : '';
  return {
    root,
    source,
    extension: isTyped ? 'ts' : 'js',
    alias: aliasOf(root, isTyped ? 'tsconfig.json' : 'jsconfig.json', source),
    installs: installCommand(has),
    dependencies,
  };
}

/** Returns the file that defines the app's queues, relative to the root; null if there is none. */
export function findDefinition(root: string): string | null {
  const names = ['', 'src/'].flatMap((folder) =>
    ['ts', 'mts', 'js', 'mjs'].map((ext) => `${folder}punctual.${ext}`),
  );
  return names.find((name) => existsSync(path.join(root, name))) ?? null;
}

function readDependencies(root: string): Record<string, string> {
  const text = readIfThere(root, 'package.json');
  if (text === null) {
    throw new CliError(
      'There is no package.json here. Run this command in the root folder of your Next.js app.',
    );
  }
  try {
    const { dependencies, devDependencies } = JSON.parse(text) as Record<string, Record<string, string>>;
    return { ...devDependencies, ...dependencies };
  } catch (error) {
    throw new CliError(`package.json is not valid JSON: ${(error as Error).message}`);
  }
}

function installCommand(has: (name: string) => boolean): string {
  if (has('pnpm-lock.yaml')) return 'pnpm add';
  if (has('yarn.lock')) return 'yarn add';
  if (has('bun.lock') || has('bun.lockb')) return 'bun add';
  return 'npm install';
}

interface CompilerConfig {
  extends?: unknown;
  compilerOptions?: { baseUrl?: string; paths?: Record<string, string[]> };
}

/** Finds the pattern of `paths` that maps to the source folder. Follows `extends` to files of the app, not into packages. */
function aliasOf(root: string, file: string, source: string): string | null {
  const config = readCompilerConfig(path.join(root, file));
  if (!config) return null;
  const { compilerOptions: { paths, baseUrl = '.' } = {}, extends: parent } = config;
  if (!paths) {
    const isFile = typeof parent === 'string' && parent.startsWith('.');
    return isFile ? aliasOf(root, path.join(path.dirname(file), parent), source) : null;
  }
  const base = path.resolve(root, path.dirname(file), baseUrl);
  for (const [pattern, targets] of Object.entries(paths)) {
    const [target = ''] = targets;
    if (!pattern.endsWith('/*') || !target.endsWith('/*')) continue;
    if (path.resolve(base, target.slice(0, -1)) === path.resolve(root, source)) return pattern.slice(0, -1);
  }
  return null;
}

/** Returns null for a file that is missing or invalid: imports are then relative. */
function readCompilerConfig(file: string): CompilerConfig | null {
  try {
    return JSON.parse(withoutJsonComments(readFileSync(file, 'utf8')));
  } catch {
    return null;
  }
}

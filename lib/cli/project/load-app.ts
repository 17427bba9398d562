import { existsSync } from 'node:fs';
import path from 'node:path';
import { registeredApp } from '../../queues/registered-app.ts';
import { CliError } from '../cli-error.ts';
import { findDefinition } from './app-folder.ts';

/**
 * Imports the app's punctual.ts, with the paths of its tsconfig, and returns the queues and jobs that it defines. Throws a `CliError` if there is none
 * or it fails.
 */
export async function loadApp(root: string): Promise<ReturnType<typeof registeredApp>> {
  const file = findDefinition(root);
  if (file === null) throw new CliError('There is no punctual.ts here. Run: npx punctual init');
  const { createJiti } = await import('jiti');
  const tsconfig = ['tsconfig.json', 'jsconfig.json'].map((name) => path.join(root, name)).find(existsSync);
  const jiti = createJiti(path.join(root, file), { tsconfigPaths: tsconfig ?? false, fsCache: false });
  try {
    await jiti.import(path.join(root, file));
    return registeredApp();
  } catch (error) {
    throw new CliError(`${file} cannot be loaded: ${(error as Error).message}`, 1);
  }
}

import { parseArgs } from 'node:util';
import { reviewAndWrite } from './changes.ts';
import { CliError } from './cli-error.ts';
import { readAppFolder } from './project/app-folder.ts';
import { migrationsFolder, missingMigrations, orderHint } from './project/missing-migrations.ts';
import { packageVersion, readPackageMigrations } from './project/package-files.ts';
import type { Terminal } from './terminal.ts';

export const usage = `npx punctual upgrade [--yes]

Adds the migrations of the installed version to ${migrationsFolder}. Run npx punctual migrate afterwards, and deploy after that.
Files that are there stay as they are.

  --yes   write without asking.

Exit codes: 0 written or nothing to do, 1 declined, 2 wrong arguments, an app without Punctual, or nobody to ask.
`;

/** Adds the migrations that the folder lacks. Returns the exit code. */
export async function upgrade(args: string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({ args, options: { yes: { type: 'boolean', default: false } } });
  const { root } = readAppFolder(terminal.folder);
  const missing = missingMigrations(root);
  if (missing.length === readPackageMigrations().length) {
    throw new CliError(`${migrationsFolder} has no migration of Punctual. Run: npx punctual init`);
  }
  const version = packageVersion();
  if (missing.length === 0) {
    terminal.print(`Nothing to add: ${migrationsFolder} has all migrations of Punctual ${version}.`);
    return 0;
  }
  const hint = orderHint(root, missing);
  const code = await reviewAndWrite(terminal, missing, values.yes);
  if (code !== 0) return code;
  terminal.print(
    `\nNext: DATABASE_URL=… npx punctual migrate, then deploy. Code of Punctual ${version} does not tick on an older schema.`,
  );
  if (hint) terminal.print(hint);
  return 0;
}

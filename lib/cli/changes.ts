import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createTwoFilesPatch } from 'diff';
import { CliError } from './cli-error.ts';
import { confirm, type Terminal } from './terminal.ts';

/** A file to write. */
export interface Change {
  /** Relative to the app's root, with `/`. */
  file: string;
  /** Its text today; null if it does not exist. */
  before: string | null;
  after: string;
  /** Stands for the diff of a file that nobody reads in a terminal, for example 11,000 lines of SQL. */
  summary?: string;
  /** The file has secrets: its diff shows no context and no values. */
  isSecret?: boolean;
}

/** Reads a file of the app; null if it does not exist. */
export function readIfThere(folder: string, file: string): string | null {
  try {
    return readFileSync(path.join(folder, file), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new CliError(`${file} cannot be read: ${(error as Error).message}`);
  }
}

/**
 * Shows the changes as a unified diff and writes them once somebody agrees, or at once with `isAgreed`. Returns the exit code: 0 if everything is
 * written, 1 if the person declines, 2 if there is nobody to ask.
 */
export async function reviewAndWrite(
  terminal: Terminal,
  changes: Change[],
  isAgreed: boolean,
): Promise<0 | 1 | 2> {
  terminal.print(changes.map(describe).join('\n'));
  if (!isAgreed) {
    if (!terminal.ask) {
      terminal.print(
        'Nothing was written, because there is nobody to ask. Pass --yes to write these changes.',
      );
      return 2;
    }
    if (!(await confirm(terminal.ask, 'Write these changes?'))) {
      terminal.print('Nothing was written.');
      return 1;
    }
  }
  // A file that somebody saved meanwhile would lose its edit.
  const moved = changes.find(({ file, before }) => readIfThere(terminal.folder, file) !== before);
  if (moved)
    throw new CliError(`Nothing was written: ${moved.file} changed meanwhile. Run the command again.`, 1);
  for (const change of changes) write(terminal.folder, change);
  terminal.print(`Wrote ${changes.map(({ file }) => file).join(', ')}.`);
  return 0;
}

/** Writes beside the file and renames, so that a full disk leaves no half of it. */
function write(folder: string, { file, after }: Change): void {
  const target = path.join(folder, file);
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(`${target}.${process.pid}`, after);
  renameSync(`${target}.${process.pid}`, target);
}

function describe({ file, before, after, summary, isSecret }: Change): string {
  if (summary) return `+ ${file}: ${summary}`;
  const patch = createTwoFilesPatch(
    before === null ? '/dev/null' : file,
    file,
    before ?? '',
    after,
    undefined,
    undefined,
    { context: isSecret ? 0 : 3 },
  );
  const lines = patch.split('\n').filter((line) => !/^(?:Index: |={60,})/.test(line));
  return (isSecret ? lines.map(withoutValue) : lines).join('\n');
}

/** Shows `+CRON_SECRET=…`. A line that is replaced shows nothing but its name either. */
const withoutValue = (line: string) =>
  line.replace(/^([-+][A-Z0-9_]*(?:SECRET|KEY|PASSWORD|TOKEN)[A-Z0-9_]*=).+/, '$1…');

import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { StoreError } from './rpc';

/**
 * Makes this process the only one that uses an embedded database's directory: two on one directory corrupt it silently. The owner's
 * process id stands in a file beside it; a file whose owner is dead is taken over. Throws a `StoreError` that names the owner.
 *
 * The returned function gives the directory back.
 */
export function lockDirectory(directory: string): () => void {
  mkdirSync(path.dirname(directory), { recursive: true });
  const file = `${directory}.pid`;
  const mine = `${file}.${process.pid}`;
  writeFileSync(mine, owner(process.pid) ?? String(process.pid));
  try {
    for (let attempt = 0; attempt < 10; attempt++) {
      try {
        // A link comes into being whole or not at all: nobody ever reads half a process id.
        linkSync(mine, file);
        process.once('exit', release);
        return release;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const content = read(file);
      if (content === null) continue;
      const [pid] = content.split(' ');
      if (content === owner(Number(pid))) {
        throw new StoreError(
          'misconfigured',
          `the database in ${directory} is in use by process ${pid}: end it first, or call it over HTTP`,
        );
      }
      replaceDead(content);
    }
    throw new StoreError(
      'unavailable',
      `could not take over ${file}: remove it if no process uses the database`,
    );
  } finally {
    rmSync(mine, { force: true });
  }

  /** One at a time: who looks and removes must not remove what came between. */
  function replaceDead(content: string) {
    const turn = `${file}.takeover`;
    try {
      linkSync(mine, turn);
    } catch {
      const holder = read(turn);
      if (holder !== null && holder !== owner(Number(holder.split(' ')[0]))) rmSync(turn, { force: true });
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
      return;
    }
    if (read(file) === content) rmSync(file, { force: true });
    rmSync(turn, { force: true });
  }

  function release() {
    process.removeListener('exit', release);
    if (read(file) === owner(process.pid)) rmSync(file, { force: true });
  }
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

/** The process id with, where the system tells, when the process began: ids are given out again. */
function owner(pid: number): string | null {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return null;
  }
  const stat = `/proc/${pid}/stat`;
  const fields = existsSync(stat) ? read(stat)?.split(') ').at(-1)?.split(' ') : [];
  const startedAt = fields?.length === 0 ? '' : fields?.[19];
  return startedAt === undefined || fields?.[0] === 'Z' ? null : `${pid} ${startedAt}`;
}

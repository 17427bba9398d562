import { existsSync, linkSync, mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { StoreError } from '../engine/ports/store-error';
import { lockFile } from './file-lock';
import { directoryInUseCode } from './rpc';

/**
 * Makes this process the only one that uses an embedded database's directory: two on one directory corrupt it silently. Throws a
 * `StoreError` that names the owner where it is known.
 *
 * The lock is the system's, on a file in the directory, where every container that mounts it meets it. Where the system has none to give,
 * the owner's process id in a file beside the directory stands for it, and names the owner everywhere; one whose owner is dead is taken
 * over. A process id alone would not do: in another container the owner has another one, or seems dead.
 *
 * The returned function gives the directory back.
 */
export function lockDirectory(directory: string): () => void {
  mkdirSync(directory, { recursive: true });
  const file = `${directory}.pid`;
  const unlock = lockFile(path.join(directory, 'punctual.lock'));
  if (unlock === null) {
    const content = read(file);
    const [pid] = content?.split(' ') ?? [];
    throw inUse(directory, content !== null && content === owner(Number(pid)) ? `process ${pid}` : null);
  }
  try {
    const forget = lockByPid(directory, file);
    return () => {
      forget();
      unlock();
    };
  } catch (error) {
    unlock();
    throw error;
  }
}

function inUse(directory: string, by: string | null): StoreError {
  return new StoreError(
    'misconfigured',
    `the database in ${directory} is in use by ${by ?? 'a process of another container'}: end it first, or call it over HTTP`,
    directoryInUseCode,
  );
}

function lockByPid(directory: string, file: string): () => void {
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
      if (content === owner(Number(pid))) throw inUse(directory, `process ${pid}`);
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

/**
 * The process id with, where the system tells, when the process began, since ids are given out again, and whose ids they are: containers
 * that start together have a process 1 each.
 */
function owner(pid: number): string | null {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return null;
  }
  const stat = `/proc/${pid}/stat`;
  const fields = existsSync(stat) ? read(stat)?.split(') ').at(-1)?.split(' ') : [];
  const startedAt = fields?.length === 0 ? '' : fields?.[19];
  return startedAt === undefined || fields?.[0] === 'Z' ? null : `${pid} ${startedAt} ${namespace()}`.trim();
}

function namespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

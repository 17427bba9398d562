import { existsSync, linkSync, mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { StoreError } from '../../engine/ports/store-error.ts';
import { directoryInUseCode } from '../rpc.ts';
import { lockFile } from './file-lock.ts';

/**
 * Locks an embedded database's directory for this process, because two processes in one directory corrupt it silently. Returns a function that
 * unlocks it. Throws a `StoreError` that names the owner if it is known.
 *
 * The lock is the operating system's, on a file in the directory, so it also keeps out every container that mounts the directory. Besides, a
 * file beside the directory holds the owner's process id. It names the owner, and it is the only lock where the system has none to give. A file
 * with a dead owner is taken over. A process id alone is not enough, because in another container the owner has another id, or seems dead.
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
    const unlockPid = lockByPid(directory, file);
    return () => {
      unlockPid();
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
    `the database in ${directory} is in use by ${by ?? 'a process in another container'}. Call that process over HTTP, or end it first`,
    directoryInUseCode,
  );
}

function lockByPid(directory: string, file: string): () => void {
  const mine = `${file}.${process.pid}`;
  writeFileSync(mine, owner(process.pid) ?? String(process.pid));
  try {
    for (let attempt = 0; attempt < 10; attempt++) {
      try {
        // A link appears whole or not at all, so no process reads half a process id.
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

  /** Removes the file of a dead owner. One process at a time does this, or it could remove a file that another one made after the check. */
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
 * Identifies a live process by its id and, on Linux, by its start time and process-id namespace. Ids are reused, and containers that start
 * together each have a process 1. Returns null if the process is dead.
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

import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, openSync, statSync } from 'node:fs';
import { StoreError } from '../../engine/ports/store-error.ts';

/**
 * Programs that lock file descriptor 3, because Node cannot. They exit with 0, or with 1 and no message if another process has the lock. The
 * lock belongs to the open file that they share with this process. It outlives them, and ends when this process closes the file or dies.
 */
const lockers = [
  ['flock', '-x', '-n', '3'],
  ['perl', '-e', 'open(F, ">>&=3") or die $!; exit 0 if flock(F, 6); exit 1 if $!{EWOULDBLOCK}; die $!'],
];

/**
 * Locks `file` against every process of the machine, in all its containers. Creates the file if it is missing, and never removes it, because a
 * lock on a removed file keeps no process out. Returns the function that unlocks it; null if another process has the lock.
 *
 * Throws a `StoreError` on Linux if there is no program to lock with. Other systems then do without the lock: there, each process can see the ids
 * of all others.
 */
export function lockFile(file: string): (() => void) | null {
  for (;;) {
    const fd = openSync(file, 'a');
    let isMine = false;
    try {
      if (!tryLock(file, fd)) return null;
      isMine = fstatSync(fd).ino === statSync(file, { throwIfNoEntry: false })?.ino;
      if (isMine) return () => closeSync(fd);
    } finally {
      if (!isMine) closeSync(fd);
    }
  }
}

function tryLock(file: string, fd: number): boolean {
  for (const [command = '', ...args] of process.platform === 'win32' ? [] : lockers) {
    const { error, status, stderr } = spawnSync(/* turbopackIgnore: true */ command, args, {
      stdio: ['ignore', 'ignore', 'pipe', fd],
    });
    if (status === 0) return true;
    const reason = error?.message ?? `${stderr}`.trim();
    if (status === 1 && reason === '') return false;
    if ((error as NodeJS.ErrnoException | undefined)?.code !== 'ENOENT') {
      throw new StoreError('misconfigured', `${file} cannot be locked: ${reason || `${command} failed`}`);
    }
  }
  if (process.platform !== 'linux') return true;
  throw new StoreError(
    'misconfigured',
    'there is no program to lock the embedded database with, and two processes would corrupt it: install flock (util-linux)',
  );
}

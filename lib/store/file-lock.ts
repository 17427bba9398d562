import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, openSync, statSync } from 'node:fs';
import { StoreError } from '../engine/ports/store-error';

/**
 * Programs that lock file descriptor 3, since Node cannot. They exit with 0, or with 1 and no complaint where another process has it. The
 * lock belongs to the open file that they share with this process: it outlives them, and ends when this process closes the file or dies.
 */
const lockers = [
  ['flock', '-x', '-n', '3'],
  ['perl', '-e', 'open(F, ">>&=3") or die $!; exit 0 if flock(F, 6); exit 1 if $!{EWOULDBLOCK}; die $!'],
];

/**
 * Locks `file` against every process of the machine, whatever container it runs in, and creates it where it is missing. Returns the
 * function that unlocks it; null where another process has it. The file stays: whoever locks one that was removed keeps nobody out.
 *
 * Throws a `StoreError` on Linux where no program can lock it. Elsewhere it is left unlocked: no process there is hidden from the others.
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
    const { error, status, stderr } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'pipe', fd] });
    if (status === 0) return true;
    const complaint = error?.message ?? `${stderr}`.trim();
    if (status === 1 && complaint === '') return false;
    if ((error as NodeJS.ErrnoException | undefined)?.code !== 'ENOENT') {
      throw new StoreError('misconfigured', `${file} cannot be locked: ${complaint || `${command} failed`}`);
    }
  }
  if (process.platform !== 'linux') return true;
  throw new StoreError(
    'misconfigured',
    'no second process must use the embedded database, and there is no program to lock it with: install flock (util-linux)',
  );
}

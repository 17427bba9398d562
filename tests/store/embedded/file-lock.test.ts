import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { lockDirectory } from '../../../lib/store/embedded/directory-lock.ts';
import { lockFile } from '../../../lib/store/embedded/file-lock.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'punctual-file-lock-'));
  file = path.join(folder, 'punctual.lock');
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** Makes only these programs available. Each is given as the text of a shell script. */
function onlyPrograms(programs: Record<string, string>) {
  const bin = mkdtempSync(path.join(folder, 'bin-'));
  for (const [name, code] of Object.entries(programs)) {
    writeFileSync(path.join(bin, name), `#!/bin/sh\n${code}\n`, { mode: 0o755 });
  }
  vi.stubEnv('PATH', bin);
}

describe.runIf(process.platform === 'linux')('the lock of a file', () => {
  it('is one lock, whether flock or perl takes it', () => {
    const unlock = lockFile(file);
    onlyPrograms({ perl: 'exec /usr/bin/perl "$@"' });
    expect(lockFile(file)).toBeNull();
    unlock?.();
    const again = lockFile(file);
    vi.unstubAllEnvs();
    expect(lockFile(file)).toBeNull();
    again?.();
    lockFile(file)?.();
  });

  it('cannot be taken if no program for it is installed, or if the program fails', () => {
    onlyPrograms({});
    expect(() => lockFile(file)).toThrow(/install flock/);
    onlyPrograms({ flock: 'echo flock: no locks available >&2; exit 1' });
    expect(() => lockFile(file)).toThrow(/cannot be locked: flock: no locks available/);
  });

  it('is never a lock on a file that was removed', () => {
    // The demo's --fresh may remove the file between its opening and its locking.
    const once = `[ -e ${file}.once ] || { : > ${file}.once; /bin/rm ${file}; }`;
    onlyPrograms({ flock: `${once}; exec /usr/bin/flock "$@"` });
    const unlock = lockFile(file);
    expect(lockFile(file)).toBeNull();
    unlock?.();
  });

  it('keeps a process out while the owner runs in another container', async () => {
    // `unshare` gives the owner its own process ids, as in a container. It needs no privileges.
    const container = ['--map-root-user', '--pid', '--fork', '--kill-child', '--mount-proc'];
    const hold = ['flock', '-x', file, 'sh', '-c', 'echo held; exec sleep 60'];
    const owner = spawn('unshare', [...container, ...hold], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await once(owner.stdout, 'data');
      expect(() => lockDirectory(folder)).toThrow(/in use by a process in another container/);
      owner.kill('SIGKILL');
      await once(owner, 'exit');
      await vi.waitFor(() => lockDirectory(folder)(), { timeout: 30_000 });
    } finally {
      owner.kill('SIGKILL');
    }
  });
});

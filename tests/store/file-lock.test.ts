import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { lockDirectory } from '../../lib/store/directory-lock.ts';
import { lockFile } from '../../lib/store/file-lock.ts';

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

/** Of all programs only these can be started now; each is told as a shell script. */
function onlyPrograms(programs: Record<string, string>) {
  const bin = mkdtempSync(path.join(folder, 'bin-'));
  for (const [name, code] of Object.entries(programs)) {
    writeFileSync(path.join(bin, name), `#!/bin/sh\n${code}\n`, { mode: 0o755 });
  }
  vi.stubEnv('PATH', bin);
}

describe.runIf(process.platform === 'linux')('the lock of a file', () => {
  it('is the same by either program', () => {
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

  it('is refused where there is no program for it, and where the program fails', () => {
    onlyPrograms({});
    expect(() => lockFile(file)).toThrow(/install flock/);
    onlyPrograms({ flock: 'echo flock: no locks available >&2; exit 1' });
    expect(() => lockFile(file)).toThrow(/cannot be locked: flock: no locks available/);
  });

  it('is never that of a file that was removed', () => {
    // As the demo's --fresh does it, between the opening and the locking.
    const once = `[ -e ${file}.once ] || { : > ${file}.once; /bin/rm ${file}; }`;
    onlyPrograms({ flock: `${once}; exec /usr/bin/flock "$@"` });
    const unlock = lockFile(file);
    expect(lockFile(file)).toBeNull();
    unlock?.();
  });

  it('keeps a process out whose owner lives in another container', async () => {
    // It has process ids of its own there, as in a container; no privileges are needed.
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

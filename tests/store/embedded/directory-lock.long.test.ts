import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lockDirectory } from '../../../lib/store/embedded/directory-lock.ts';

const repository = new URL('../../..', import.meta.url);
const lockModule = new URL('lib/store/embedded/directory-lock.ts', repository).href;

/**
 * A process that takes and releases locks on command. Before and after each change to a file it pauses for `stallMs`, or for a random time
 * up to `jitterMs`, as a process does that the system preempts.
 */
const contenderCode = `
  import fs from 'node:fs';
  import { syncBuiltinESMExports } from 'node:module';
  const sleep = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  let command = {};
  const pause = (where) => {
    if (command.jitterMs) sleep(Math.random() * command.jitterMs);
    if (command.stallMs) { process.send({ stalls: where }); sleep(command.stallMs); }
  };
  for (const name of ['renameSync', 'linkSync', 'rmSync', 'unlinkSync']) {
    const change = fs[name];
    fs[name] = (...args) => {
      pause('before ' + name);
      try { return change(...args); } finally { pause('after ' + name); }
    };
  }
  syncBuiltinESMExports();
  const { lockDirectory } = await import(${JSON.stringify(lockModule)});
  let release;
  process.on('message', (message) => {
    command = message;
    if (command.release) {
      release?.();
      release = undefined;
      return process.send({ released: true });
    }
    while (Date.now() < command.at);
    try {
      release = lockDirectory(command.directory);
      process.send({ won: true });
    } catch (error) {
      process.send({ won: false, kind: error.kind, message: error.message });
    }
  });
  process.send({ ready: true });
`;

interface Reply {
  won?: boolean;
  kind?: string;
  message?: string;
  stalls?: string;
}

const children: ChildProcess[] = [];

/** `within`: a command that runs the process, for example in a container. */
async function startContender(within: string[] = []): Promise<ChildProcess> {
  const node = [process.execPath, '--import', 'tsx', '--input-type=module', '--eval', contenderCode];
  const [command = '', ...args] = [...within, ...node];
  const child = spawn(command, args, { cwd: repository, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  children.push(child);
  await replyOf(child);
  return child;
}

const replyOf = async (child: ChildProcess): Promise<Reply> => (await once(child, 'message'))[0];

function contend(child: ChildProcess, directory: string, options: object = {}): Promise<Reply> {
  const reply = replyOf(child);
  child.send({ directory, ...options });
  return reply;
}

function releaseLock(child: ChildProcess): Promise<Reply> {
  const reply = replyOf(child);
  child.send({ release: true });
  return reply;
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** Returns the text of the lock file that a killed owner leaves behind. */
async function staleLockText(): Promise<string> {
  const directory = newDirectory();
  const victim = await startContender();
  expect(await contend(victim, directory)).toEqual({ won: true });
  await kill(victim);
  return readFileSync(`${directory}.pid`, 'utf8');
}

const onLinux = it.runIf(process.platform === 'linux');

let folder: string;
let directories = 0;
const newDirectory = () => path.join(folder, `database-${++directories}`);

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'punctual-lock-'));
});
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

function refusal(directory: string): { kind?: string; message?: string } {
  try {
    lockDirectory(directory)();
    return {};
  } catch (error) {
    return error as Reply;
  }
}

describe('a directory', () => {
  it('of a running process is refused to a second one, and the error names the owner', async () => {
    const directory = newDirectory();
    const owner = await startContender();
    expect(await contend(owner, directory)).toEqual({ won: true });
    const refused = refusal(directory);
    expect(refused.kind).toBe('misconfigured');
    for (const part of [directory, `process ${owner.pid}`]) expect(refused.message).toContain(part);
    // The refusal leaves the owner's lock in place.
    expect(refusal(directory).kind).toBe('misconfigured');
    await releaseLock(owner);
    expect(refusal(directory)).toEqual({});
  });

  it('is refused to a second caller in the same process, and has no lock file once it is released', () => {
    const directory = newDirectory();
    const release = lockDirectory(directory);
    expect(refusal(directory).message).toContain(`process ${process.pid}`);
    release();
    expect(refusal(directory)).toEqual({});
    const beside = readdirSync(folder).filter((file) => file.startsWith(`${path.basename(directory)}.`));
    expect(beside).toEqual([]);
  });

  it('is released by a process that exits normally', async () => {
    const directory = newDirectory();
    const owner = await startContender();
    await contend(owner, directory);
    owner.disconnect();
    await once(owner, 'exit');
    expect(existsSync(`${directory}.pid`)).toBe(false);
  });

  onLinux('of a killed process is taken over even before its parent reaps it', async () => {
    const directory = newDirectory();
    // The shell becomes a program that never reaps its children, like process 1 of many containers.
    const victimCode = `
      const { lockDirectory } = await import(${JSON.stringify(lockModule)});
      lockDirectory(${JSON.stringify(directory)});
      process.kill(process.pid, 'SIGKILL');
    `;
    const command = '"$0" --import tsx --input-type=module --eval "$1" & exec sleep 60';
    const args = ['-c', command, process.execPath, victimCode];
    children.push(spawn('sh', args, { cwd: repository, stdio: 'ignore' }));
    const pid = await eventually(() => readOrNull(`${directory}.pid`)?.split(' ')[0] ?? null);
    await eventually(() => (/\) Z /.test(readOrNull(`/proc/${pid}/stat`) ?? '') ? true : null));
    // A process keeps its files open until its last thread ends.
    await eventually(() => refusal(directory).kind === undefined || null);
  });

  onLinux('of a process with the same id in another container, or at another time, is taken over', () => {
    const directory = newDirectory();
    const release = lockDirectory(directory);
    const owner = readFileSync(`${directory}.pid`, 'utf8');
    release();
    for (const content of [owner.replace(/pid:\[\d+\]/, 'pid:[1]'), `${process.pid} 1`]) {
      writeFileSync(`${directory}.pid`, content);
      expect(refusal(directory), content).toEqual({});
    }
  });

  it.each(['', ' ', 'nobody', '0', '-1', '999999999 1', '1e9', '\0'])(
    'whose lock file contains %j, which names no owner, is taken over',
    (content) => {
      const directory = newDirectory();
      writeFileSync(`${directory}.pid`, content);
      expect(refusal(directory)).toEqual({});
    },
  );

  it('may lie in a folder that does not exist yet', () => {
    const directory = path.join(newDirectory(), 'deep', 'down');
    expect(refusal(directory)).toEqual({});
    expect(refusal(directory)).toEqual({});
  });
});

/** Starts a process with process ids of its own, as in a container. It needs no privileges. */
const container = ['unshare', '--map-root-user', '--pid', '--fork', '--kill-child', '--mount-proc'];

onLinux('of processes in separate containers only one gets a directory, until it is killed', async () => {
  const directory = newDirectory();
  const [first, second] = await Promise.all([startContender(container), startContender(container)]);
  expect(await contend(first, directory)).toEqual({ won: true });
  const message = expect.stringContaining('another container');
  const refused = { won: false, kind: 'misconfigured', message };
  for (let n = 0; n < 3; n++) expect(await contend(second, directory)).toEqual(refused);
  expect(refusal(directory).message).toContain('another container');
  await kill(first);
  await eventually(() => refusal(directory).kind === undefined || null);
  expect(await contend(second, directory)).toEqual({ won: true });
  expect(refusal(directory).kind).toBe('misconfigured');
});

describe('of processes that want a directory at once', () => {
  let staleLock: string;
  let contenders: [ChildProcess, ChildProcess, ChildProcess];
  beforeAll(async () => {
    const starting = [startContender(), startContender(), startContender()] as const;
    [staleLock, ...contenders] = await Promise.all([staleLockText(), ...starting]);
  });

  it.each([
    ['at full speed', 30, 0],
    ['interrupted at every step', 20, 3],
  ])(
    'exactly one gets it, %s, whether it is free or a dead owner’s, in each of %i rounds',
    async (_how, rounds, jitterMs) => {
      for (let round = 1; round <= rounds; round++) {
        const directory = newDirectory();
        if (round % 4) writeFileSync(`${directory}.pid`, staleLock);
        const competing = round % 3 ? contenders : contenders.slice(0, 2);
        const at = Date.now() + 5;
        const options = { at, jitterMs };
        const replies = await Promise.all(competing.map((child) => contend(child, directory, options)));
        const winners = replies.filter(({ won }) => won);
        expect(winners, `round ${round}: ${JSON.stringify(replies)}`).toHaveLength(1);
        const winner = contenders[replies.findIndex(({ won }) => won)];
        expect(readFileSync(`${directory}.pid`, 'utf8')).toMatch(new RegExp(`^${winner?.pid}( |$)`));
        await Promise.all(contenders.map(releaseLock));
        expect(existsSync(`${directory}.pid`)).toBe(false);
      }
    },
  );

  it('exactly one gets it, even if another stalls while it takes over a dead owner’s', async () => {
    const directory = newDirectory();
    writeFileSync(`${directory}.pid`, staleLock);
    const [slow, quick, late] = contenders;
    const stalls: string[] = [];
    const slowReply = new Promise<Reply>((resolve) => {
      slow.on('message', (reply: Reply) => (reply.stalls ? stalls.push(reply.stalls) : resolve(reply)));
    });
    slow.send({ directory, stallMs: 100 });
    // By the second stall its first attempt has failed. By the third it knows that the owner is dead and is about to act.
    const stalled = (times: number) =>
      Promise.race([slowReply, eventually(() => (stalls.length >= times ? true : null))]);
    await stalled(3);
    const replies = [await contend(quick, directory)];
    await stalled(4);
    replies.push(await contend(late, directory), await slowReply);
    expect(replies.filter(({ won }) => won)).toHaveLength(1);
  });
});

function readOrNull(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

async function eventually<T>(probe: () => T | null): Promise<T> {
  const until = Date.now() + 10_000;
  for (;;) {
    const found = probe();
    if (found !== null) return found;
    if (Date.now() > until) throw new Error(`timed out after 10 s waiting for ${probe}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

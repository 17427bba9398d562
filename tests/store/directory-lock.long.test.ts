import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lockDirectory } from '../../lib/store/directory-lock.ts';

const repository = new URL('../..', import.meta.url);
const lockModule = new URL('lib/store/directory-lock.ts', repository).href;

/**
 * A process that takes and gives back locks as it is told. `stallMs` makes it stand still for so long, or for a moment up to
 * `jitterMs`, on either side of each change that it makes to a file: as a process does that the system takes the processor from.
 */
const contenderCode = `
  import fs from 'node:fs';
  import { syncBuiltinESMExports } from 'node:module';
  const sleep = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  let told = {};
  const stand = (where) => {
    if (told.jitterMs) sleep(Math.random() * told.jitterMs);
    if (told.stallMs) { process.send({ stalls: where }); sleep(told.stallMs); }
  };
  for (const name of ['renameSync', 'linkSync', 'rmSync', 'unlinkSync']) {
    const change = fs[name];
    fs[name] = (...args) => {
      stand('before ' + name);
      try { return change(...args); } finally { stand('after ' + name); }
    };
  }
  syncBuiltinESMExports();
  const { lockDirectory } = await import(${JSON.stringify(lockModule)});
  let release;
  process.on('message', (message) => {
    told = message;
    if (told.release) {
      release?.();
      release = undefined;
      return process.send({ released: true });
    }
    while (Date.now() < told.at);
    try {
      release = lockDirectory(told.directory);
      process.send({ won: true });
    } catch (error) {
      process.send({ won: false, kind: error.kind, message: error.message });
    }
  });
  process.send({ ready: true });
`;

interface Answer {
  won?: boolean;
  kind?: string;
  message?: string;
  stalls?: string;
}

const children: ChildProcess[] = [];

/** `within`: a command that starts what is given to it. */
async function startContender(within: string[] = []): Promise<ChildProcess> {
  const [command = '', ...args] = [
    ...within,
    ...[process.execPath, '--import', 'tsx', '--input-type=module', '--eval', contenderCode],
  ];
  const child = spawn(command, args, { cwd: repository, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  children.push(child);
  await answerOf(child);
  return child;
}

async function answerOf(child: ChildProcess): Promise<Answer> {
  const [answer] = await once(child, 'message');
  return answer;
}

async function contend(child: ChildProcess, directory: string, told: object = {}): Promise<Answer> {
  const answer = answerOf(child);
  child.send({ directory, ...told });
  return answer;
}

async function giveBack(child: ChildProcess): Promise<void> {
  const answer = answerOf(child);
  child.send({ release: true });
  await answer;
}

/** What a process leaves behind that was killed while it had the lock. */
async function lockOfTheDead(): Promise<string> {
  const directory = newDirectory();
  const victim = await startContender();
  expect(await contend(victim, directory)).toEqual({ won: true });
  victim.kill('SIGKILL');
  await once(victim, 'exit');
  return readFileSync(`${directory}.pid`, 'utf8');
}

let folder: string;
let directories = 0;
function newDirectory(): string {
  directories += 1;
  return path.join(folder, `database-${directories}`);
}

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
    return error as Answer;
  }
}

describe('a directory', () => {
  it('of a running process is refused to a second one, which is told whose it is', async () => {
    const directory = newDirectory();
    const owner = await startContender();
    expect(await contend(owner, directory)).toEqual({ won: true });
    const { kind, message } = refusal(directory);
    expect(kind).toBe('misconfigured');
    expect(message).toContain(directory);
    expect(message).toContain(`process ${owner.pid}`);
    // Nor does the refusal take anything from the owner.
    expect(refusal(directory).kind).toBe('misconfigured');
    await giveBack(owner);
    expect(refusal(directory)).toEqual({});
  });

  it('is refused a second time within one process as well', () => {
    const directory = newDirectory();
    const release = lockDirectory(directory);
    expect(refusal(directory).message).toContain(`process ${process.pid}`);
    release();
    expect(refusal(directory)).toEqual({});
  });

  it('that was given back has no file left beside it', () => {
    const directory = newDirectory();
    lockDirectory(directory)();
    const beside = readdirSync(folder).filter((file) => file.startsWith(`${path.basename(directory)}.`));
    expect(beside).toEqual([]);
  });

  it('is given back by a process that ends in good order', async () => {
    const directory = newDirectory();
    const owner = await startContender();
    await contend(owner, directory);
    owner.disconnect();
    await once(owner, 'exit');
    expect(existsSync(`${directory}.pid`)).toBe(false);
  });

  it('of a process that was killed is taken over', async () => {
    const directory = newDirectory();
    const victim = await startContender();
    await contend(victim, directory);
    victim.kill('SIGKILL');
    await once(victim, 'exit');
    expect(existsSync(`${directory}.pid`)).toBe(true);
    const release = lockDirectory(directory);
    expect(readFileSync(`${directory}.pid`, 'utf8')).toMatch(new RegExp(`^${process.pid}( |$)`));
    release();
  });

  it.runIf(process.platform === 'linux')(
    'of a process that was killed is taken over even while its parent has not noticed',
    async () => {
      const directory = newDirectory();
      // The shell gives way to a program that never asks for its children: as process 1 of many containers.
      const victimCode = `
        const { lockDirectory } = await import(${JSON.stringify(lockModule)});
        lockDirectory(${JSON.stringify(directory)});
        process.kill(process.pid, 'SIGKILL');
      `;
      const parent = spawn(
        'sh',
        [
          '-c',
          '"$0" --import tsx --input-type=module --eval "$1" & exec sleep 60',
          process.execPath,
          victimCode,
        ],
        { cwd: repository, stdio: 'ignore' },
      );
      children.push(parent);
      const pid = await eventually(() => readOrNull(`${directory}.pid`)?.split(' ')[0] ?? null);
      await eventually(() => (/\) Z /.test(readOrNull(`/proc/${pid}/stat`) ?? '') ? true : null));
      // It keeps its files until its last thread is gone.
      await eventually(() => refusal(directory).kind === undefined || null);
    },
  );

  it.runIf(process.platform === 'linux')(
    'of a process of the same id in another container is taken over',
    () => {
      const directory = newDirectory();
      const release = lockDirectory(directory);
      const owner = readFileSync(`${directory}.pid`, 'utf8');
      release();
      writeFileSync(`${directory}.pid`, owner.replace(/pid:\[\d+\]/, 'pid:[1]'));
      expect(refusal(directory)).toEqual({});
    },
  );

  it.runIf(process.platform === 'linux')('of a process whose id was given out again is taken over', () => {
    const directory = newDirectory();
    writeFileSync(`${directory}.pid`, `${process.pid} 1`);
    expect(refusal(directory)).toEqual({});
  });

  it.each(['', ' ', 'nobody', '0', '-1', '999999999 1', '1e9', '\0'])(
    'with a file that says %j, which is nobody’s, is taken over',
    (content) => {
      const directory = newDirectory();
      writeFileSync(`${directory}.pid`, content);
      expect(refusal(directory)).toEqual({});
    },
  );

  it('may lie in a folder that is still to be made', () => {
    const directory = path.join(newDirectory(), 'deep', 'down');
    expect(refusal(directory)).toEqual({});
    expect(refusal(directory)).toEqual({});
  });
});

/** Starts a process that has other process ids, as in a container of its own; no privileges are needed. */
const container = ['unshare', '--map-root-user', '--pid', '--fork', '--kill-child', '--mount-proc'];

describe.runIf(process.platform === 'linux')('of processes in containers of their own', () => {
  it('one gets a directory, until it is killed', async () => {
    const directory = newDirectory();
    const [first, second] = await Promise.all([startContender(container), startContender(container)]);
    expect(await contend(first, directory)).toEqual({ won: true });
    const refused = {
      won: false,
      kind: 'misconfigured',
      message: expect.stringContaining('another container'),
    };
    for (let n = 0; n < 3; n++) expect(await contend(second, directory)).toEqual(refused);
    expect(refusal(directory).message).toContain('another container');
    first.kill('SIGKILL');
    await once(first, 'exit');
    await eventually(() => refusal(directory).kind === undefined || null);
    expect(await contend(second, directory)).toEqual({ won: true });
    expect(refusal(directory).kind).toBe('misconfigured');
  });
});

describe('of processes that want a directory at once', () => {
  let dead: string;
  let contenders: [ChildProcess, ChildProcess, ChildProcess];
  beforeAll(async () => {
    [dead, ...contenders] = await Promise.all([
      lockOfTheDead(),
      startContender(),
      startContender(),
      startContender(),
    ]);
  });

  it.each([
    ['at full speed', 30, 0],
    ['interrupted at every step', 20, 3],
  ])(
    'one gets it, %s, whether it is free or a dead one’s, each time of %i',
    async (_how, rounds, jitterMs) => {
      const dead = await lockOfTheDead();
      const contenders = await Promise.all([startContender(), startContender(), startContender()]);
      for (let round = 1; round <= rounds; round++) {
        const directory = newDirectory();
        if (round % 4) writeFileSync(`${directory}.pid`, dead);
        const wanted = round % 3 ? contenders : contenders.slice(0, 2);
        const at = Date.now() + 5;
        const answers = await Promise.all(wanted.map((child) => contend(child, directory, { at, jitterMs })));
        expect(
          answers.filter(({ won }) => won),
          `round ${round}: ${JSON.stringify(answers)}`,
        ).toHaveLength(1);
        const winner = contenders[answers.findIndex(({ won }) => won)];
        expect(readFileSync(`${directory}.pid`, 'utf8')).toMatch(new RegExp(`^${winner?.pid}( |$)`));
        await Promise.all(contenders.map(giveBack));
        expect(existsSync(`${directory}.pid`)).toBe(false);
      }
    },
  );

  it('one gets it, even if another stands still in the middle of taking over a dead one’s', async () => {
    const directory = newDirectory();
    writeFileSync(`${directory}.pid`, dead);
    const [slow, quick, late] = contenders;
    const stalls: string[] = [];
    const slowly = new Promise<Answer>((resolve) => {
      slow.on('message', (answer: Answer) => (answer.stalls ? stalls.push(answer.stalls) : resolve(answer)));
    });
    slow.send({ directory, stallMs: 100 });
    // Its own attempt has failed by the second stall; by the third it knows that the owner is dead, and is about to act.
    const stalled = (times: number) =>
      Promise.race([slowly, eventually(() => (stalls.length >= times ? true : null))]);
    await stalled(3);
    const answers = [await contend(quick, directory)];
    await stalled(4);
    answers.push(await contend(late, directory), await slowly);
    expect(answers.filter(({ won }) => won)).toHaveLength(1);
  });
});

function readOrNull(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

async function eventually<T>(look: () => T | null): Promise<T> {
  const until = Date.now() + 10_000;
  for (;;) {
    const found = look();
    if (found !== null) return found;
    if (Date.now() > until) throw new Error(`waited in vain for ${look}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

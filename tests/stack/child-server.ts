import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';

export interface ChildServer {
  readonly pid: number;
  readonly running: boolean;
  /** The last lines it printed, standard output and error together. */
  tail(): string;
  /** Resolves when it has ended. */
  stop(signal: NodeJS.Signals): Promise<void>;
}

export interface ChildServerOptions {
  env?: Record<string, string>;
  /** The system's user to run as. Only root may set it. */
  user?: string | null;
  /** The signal that the kernel sends the child when this process dies, for any reason. */
  deathSignal: 'KILL' | 'QUIT';
}

/** Starts a server that ends with this process. `stop` and the kernel signal only the server's own process id. */
export function startChildServer(
  command: string,
  args: string[],
  { env, user, deathSignal }: ChildServerOptions,
): ChildServer {
  const wrapped = [...asUser(user), `--pdeathsig=${deathSignal}`, '--', command, ...args];
  const child = spawn('setpriv', wrapped, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    cwd: '/',
  });
  const lines: string[] = [];
  const keep = (chunk: Buffer) => {
    lines.push(...chunk.toString().split('\n').filter(Boolean));
    lines.splice(0, lines.length - 200);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  child.on('error', (error) => lines.push(String(error)));
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  return {
    pid: child.pid ?? 0,
    get running() {
      return isRunning(child);
    },
    tail: () => lines.join('\n'),
    stop(signal) {
      if (isRunning(child)) child.kill(signal);
      return ended;
    },
  };
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

/** The arguments of `setpriv` that change to `user`. */
export function asUser(user: string | null | undefined): string[] {
  return user ? [`--reuid=${user}`, `--regid=${user}`, '--init-groups'] : [];
}

/** Tries `ready` every 20 ms until it does not throw. Throws after 30 s, or if the server ends. */
export async function untilReady(
  name: string,
  server: ChildServer,
  ready: () => Promise<unknown>,
): Promise<void> {
  const end = Date.now() + 30_000;
  for (;;) {
    try {
      await ready();
      return;
    } catch (error) {
      if (!server.running) throw new Error(`${name} ended while starting:\n${server.tail()}`);
      if (Date.now() > end) throw new Error(`${name} is not ready after 30 s (${error}):\n${server.tail()}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Returns a TCP port of the loopback address on which nothing listens. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}

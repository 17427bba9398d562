import { type ChildProcess, spawn } from 'node:child_process';
import { check } from '../check.ts';
import { freePorts } from '../free-port.ts';
import { sleep, until } from '../page.ts';

export interface Demo {
  address: string;
  sandbox: string;
  cronSecret: string;
  apiKey: string;
  /** Everything that it has printed so far. */
  output(): string;
  /** Ends it as Ctrl-C does, and checks that it is gone. */
  end(): Promise<void>;
}

/** Starts `npm run demo` with empty data. Resolves when it has printed its address and its secrets. */
export async function startDemo(): Promise<Demo> {
  const [port, sandboxPort] = await freePorts(2);
  const args = ['run', 'demo', '--', '--port', `${port}`, '--sandbox-port', `${sandboxPort}`, '--fresh'];
  const demo = spawn('npm', args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  let printed = '';
  demo.stdout?.on('data', (chunk) => {
    printed += chunk;
  });
  const address = `http://127.0.0.1:${port}`;
  const secretOf = (name: string) => new RegExp(`${name}\\s+(\\S+)`).exec(printed)?.[1];
  await until(() => demo.exitCode !== null || secretOf('API_KEY') !== undefined, { withinMs: 600_000 });
  const [cronSecret, apiKey] = [secretOf('CRON_SECRET'), secretOf('API_KEY')];
  if (cronSecret && apiKey) {
    const sandbox = `http://127.0.0.1:${sandboxPort}`;
    return { address, sandbox, cronSecret, apiKey, output: () => printed, end: () => end(demo, address) };
  }
  if (demo.pid && demo.exitCode === null) process.kill(-demo.pid, 'SIGKILL');
  throw new Error(`the demo did not start:\n${printed}`);
}

async function end(demo: ChildProcess, address: string): Promise<void> {
  const ended = new Promise<string>((resolve) =>
    demo.once('exit', (code, signal) => resolve(signal ?? `${code}`)),
  );
  // Sends the signal to the whole process group, as a terminal does. It also ends npm's own shell.
  if (demo.pid) process.kill(-demo.pid, 'SIGINT');
  const how = await Promise.race([ended, sleep(120_000).then(() => 'still running')]);
  check('Ctrl-C ends the demo', ['0', 'SIGINT', '130'].includes(how), how);
  const isGone = () =>
    fetch(address).then(
      () => false,
      () => true,
    );
  check('the app no longer responds after Ctrl-C', await until(isGone, { withinMs: 60_000 }), 'it responds');
}

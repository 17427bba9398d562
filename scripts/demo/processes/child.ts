import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DemoError } from '../demo-error.ts';

const endWithParent = new URL('end-with-parent.mjs', import.meta.url).href;
export const projectFolder = fileURLToPath(new URL('../../..', import.meta.url));

/** A Node process of the demo. Its output goes into a file. */
export class Child {
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  readonly #process: ChildProcess;
  #ended = false;

  constructor(
    readonly name: string,
    nodeArgs: string[],
    env: Record<string, string | undefined>,
    private readonly logFile: string,
  ) {
    const log = openSync(logFile, 'w');
    this.#process = spawn(process.execPath, ['--import', endWithParent, ...nodeArgs], {
      cwd: projectFolder,
      env: env as NodeJS.ProcessEnv,
      stdio: ['ignore', log, log, 'ipc'],
      // In its own process group, so that Ctrl-C reaches only the demo, which ends its children in order.
      detached: true,
    });
    closeSync(log);
    this.exited = new Promise((resolve) => {
      const end = (code: number | null, signal: string | null) => {
        this.#ended = true;
        resolve({ code, signal });
      };
      this.#process.once('exit', end);
      this.#process.once('error', () => end(null, null));
    });
  }

  /** Rejects when the process ends; never resolves. */
  async died(): Promise<never> {
    const { code, signal } = await this.exited;
    throw new DemoError(
      `${this.name} ended by itself (${signal ?? `exit code ${code}`}). Its last output, from ${this.logFile}:\n${this.lastOutput()}`,
    );
  }

  lastOutput(): string {
    const lines = readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-20);
    return lines.map((line) => `  ${line}`).join('\n');
  }

  /** Sends SIGTERM, and SIGKILL if the process has not ended after `graceMs`. */
  async end(graceMs = 5_000): Promise<void> {
    if (this.#ended) return;
    this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), graceMs);
    await this.exited;
    clearTimeout(timer);
  }
}

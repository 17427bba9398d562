import { createInterface } from 'node:readline/promises';
import { loadEnvFiles } from '../services/load-env-files.ts';

/** Where a command runs and whom it talks to. */
export interface Terminal {
  /** The app's root folder, an absolute path. */
  folder: string;
  env: NodeJS.ProcessEnv;
  print(text: string): void;
  /** Asks a person. Null without a person at the terminal. */
  ask: ((question: string, preset?: string) => Promise<string>) | null;
  /** Ends a command that runs until it is stopped. */
  signal: AbortSignal;
}

/** The process's own terminal and working directory, with the variables of `.env.local` and `.env`. */
export function processTerminal(signal: AbortSignal): Terminal {
  loadEnvFiles();
  const isInteractive = process.stdin.isTTY === true && process.stdout.isTTY === true;
  return {
    folder: process.cwd(),
    env: process.env,
    print: (text) => void process.stdout.write(`${text}\n`),
    ask: isInteractive ? (question, preset) => ask(question, preset, signal) : null,
    signal,
  };
}

async function ask(question: string, preset = '', signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  // Ctrl-C at a question ends the command; nothing is written yet.
  lines.on('SIGINT', () => process.exit(130));
  try {
    const answer = await lines.question(`${question}${preset ? ` (${preset})` : ''} `, { signal });
    return answer.trim() || preset;
  } finally {
    lines.close();
  }
}

/** Returns whether the person agrees. Enter alone agrees. */
export async function confirm(ask: NonNullable<Terminal['ask']>, question: string): Promise<boolean> {
  return /^(y|yes|)$/i.test(await ask(`${question} [Y/n]`));
}

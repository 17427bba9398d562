import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import type { Terminal } from '@/lib/cli/terminal.ts';

const root = process.cwd();

/** The files of a small Next.js app. `files` adds to them; null leaves one out. */
export function makeApp(files: Record<string, string | null> = {}): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'punctual-cli-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const paths = {
    '@/*': ['./*'],
    punctual: [path.join(root, 'lib/punctual.ts')],
    zod: [path.join(root, 'node_modules/zod')],
  };
  const all = {
    'package.json': JSON.stringify({ dependencies: { next: '16.4.5', zod: '4.6.7' } }),
    'tsconfig.json': `{\n  // As create-next-app writes it.\n  "compilerOptions": { "paths": ${JSON.stringify(paths)}, },\n}\n`,
    'app/page.tsx': 'export default function Home() {\n  return null;\n}\n',
    ...files,
  };
  for (const [file, text] of Object.entries(all)) if (text !== null) writeIn(folder, file, text);
  return folder;
}

export function writeIn(folder: string, file: string, text: string): void {
  mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
  writeFileSync(path.join(folder, file), text);
}

export const readIn = (folder: string, file: string) => readFileSync(path.join(folder, file), 'utf8');

/** All files of the folder with their texts. */
export function readTree(folder: string): Record<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const files = entries.map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
  return Object.fromEntries(files.sort().map((file) => [file, readIn(folder, file)]));
}

/** A terminal that keeps what is printed. With `answers` a person is there, who gives them in turn. */
export function terminalIn(
  folder: string,
  { env = {}, answers }: { env?: Record<string, string>; answers?: string[] } = {},
): { terminal: Terminal; printed: () => string; asked: string[] } {
  const lines: string[] = [];
  const asked: string[] = [];
  const left = [...(answers ?? [])];
  const terminal: Terminal = {
    folder,
    env: env as NodeJS.ProcessEnv,
    print: (text) => void lines.push(text),
    ask: answers
      ? async (question, preset = '') => {
          asked.push(question);
          return left.shift() || preset;
        }
      : null,
    signal: new AbortController().signal,
  };
  return { terminal, printed: () => lines.join('\n'), asked };
}

import { DemoError } from './demo/demo-error.ts';
import { readOptions, usage } from './demo/demo-options.ts';
import { whenOrphaned } from './demo/processes/when-orphaned.ts';
import { runDemo } from './demo/run-demo.ts';

/** Signals within this time are one Ctrl-C: the terminal and the program that started this one may both forward it. */
const sameSignalMs = 1_000;

const ends: (() => Promise<void>)[] = [];
let endingSince: number | null = null;

/** Ends the parts of the demo, the latest first, and then this process. */
async function end(exitCode: number): Promise<void> {
  for (let next = ends.pop(); next; next = ends.pop()) await next();
  process.exit(exitCode);
}

function endByRequest(): void {
  if (endingSince === null) {
    endingSince = Date.now();
    console.log('\nEnding after the running tick. Press Ctrl-C again to end at once.');
    void end(0);
    // The children lose their channel to this process, and end too.
  } else if (Date.now() - endingSince > sameSignalMs) process.exit(0);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, endByRequest);
whenOrphaned(endByRequest);
// The terminal that reads the output may be gone.
process.stdout.on('error', endByRequest);

try {
  const options = readOptions(process.argv.slice(2));
  if (options.help) console.log(usage);
  else await runDemo(options, (one) => ends.push(one));
} catch (error) {
  // Ending makes calls fail, so an error after it is expected.
  if (endingSince === null) {
    console.error(`\n${messageOf(error)}`);
    await end(1);
  }
}

function messageOf(error: unknown): string {
  if (error instanceof DemoError) return error.message;
  const { code, stack } = error as NodeJS.ErrnoException;
  return code === 'EACCES' || code === 'EPERM'
    ? `${(error as Error).message}\nAnother user ran the demo in this folder. Run it as that user, or remove .data and .next first.`
    : `The demo failed: ${stack ?? String(error)}`;
}

import { DemoError } from './demo/demo-error';
import { readOptions, usage } from './demo/demo-options';
import { whenOrphaned } from './demo/processes/when-orphaned';
import { runDemo } from './demo/run-demo';

/** A terminal and whatever started this program may each pass on one and the same Ctrl-C. */
const sameSignalMs = 1_000;

const ends: (() => Promise<void>)[] = [];
let endingSince: number | null = null;

/** Ends what runs, the youngest first, then this process. */
async function end(exitCode: number): Promise<void> {
  for (let next = ends.pop(); next; next = ends.pop()) await next();
  process.exit(exitCode);
}

function endByRequest(): void {
  if (endingSince === null) {
    endingSince = Date.now();
    console.log('\nEnding: the tick under way finishes first. Ctrl-C again ends it at once.');
    void end(0);
    // The children notice that the channel to them is cut, and end too.
  } else if (Date.now() - endingSince > sameSignalMs) process.exit(0);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, endByRequest);
whenOrphaned(endByRequest);
// The terminal that would read this may be gone.
process.stdout.on('error', endByRequest);

try {
  const options = readOptions(process.argv.slice(2));
  if (options.help) console.log(usage);
  else await runDemo(options, (one) => ends.push(one));
} catch (error) {
  // What failed because it was ended is no news.
  if (endingSince === null) {
    console.error(`\n${messageOf(error)}`);
    await end(1);
  }
}

function messageOf(error: unknown): string {
  if (error instanceof DemoError) return error.message;
  const { code, stack } = error as NodeJS.ErrnoException;
  return code === 'EACCES' || code === 'EPERM'
    ? `${(error as Error).message}\nAnother user ran the demo here: run it as that user, or remove .data and .next first.`
    : `The demo failed: ${stack ?? String(error)}`;
}

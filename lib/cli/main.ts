#!/usr/bin/env node
import { guardProcess } from '../worker/guard-process.ts';
import { CliError } from './cli-error.ts';
import { processTerminal, type Terminal } from './terminal.ts';

const usage = `npx punctual <command>

  init                 adds Punctual to the Next.js app in this folder
  add queue <table>    makes a table a queue
  dev                  ticks the app while next dev runs
  migrate              applies the migrations to the database at DATABASE_URL
  upgrade              adds the migrations of the installed version
  worker               ticks all queues in one long-running process
  sql                  runs SQL on the embedded database
  doctor               checks the environment, the database and the schedules

  npx punctual <command> --help explains a command.
`;

interface Command {
  usage: string;
  run: (args: string[], terminal: Terminal) => Promise<number>;
}

/** A command's module is imported when it is called: the worker listens to signals first, and `init` needs no database. */
const commands: Record<string, () => Promise<Command>> = {
  init: () => import('./init.ts').then(({ init, usage }) => ({ run: init, usage })),
  add: () => import('./add-queue.ts').then(({ addQueueCommand, usage }) => ({ run: addQueueCommand, usage })),
  dev: () => import('./dev.ts').then(({ dev, usage }) => ({ run: dev, usage })),
  migrate: () => import('./migrate.ts').then(({ migrate, usage }) => ({ run: migrate, usage })),
  upgrade: () => import('./upgrade.ts').then(({ upgrade, usage }) => ({ run: upgrade, usage })),
  worker: () => import('./worker.ts').then(({ worker, usage }) => ({ run: worker, usage })),
  sql: () => import('./sql.ts').then(({ sql, usage }) => ({ run: sql, usage })),
  doctor: () => import('./doctor.ts').then(({ doctor, usage }) => ({ run: doctor, usage })),
};

/** These run until a signal ends them, and settle their rows then. Any other command ends at once. */
const name = process.argv[2] ?? '';
const guard = name === 'worker' || name === 'dev' ? guardProcess() : null;

/** Runs a command line and returns the exit code. */
async function run([name, ...args]: string[], terminal: Terminal): Promise<number> {
  if (name === '--version') {
    const { packageVersion } = await import('./project/package-files.ts');
    terminal.print(packageVersion());
    return 0;
  }
  const load = name === undefined ? undefined : commands[name];
  if (!load) {
    const isHelp = name === undefined || name === '--help' || name === 'help';
    if (!isHelp) process.stderr.write(`There is no command ${name}.\n\n`);
    process.stdout.write(usage);
    return isHelp ? 0 : 2;
  }
  const command = await load();
  // The worker has options of its own after --region.
  if (args.includes('--help') && !args.includes('--region')) {
    process.stdout.write(command.usage);
    return 0;
  }
  return command.run(args, terminal);
}

run(process.argv.slice(2), processTerminal(guard?.signal ?? new AbortController().signal)).then(
  // The worker's pools and the embedded database would keep the process.
  (code) => process.exit(guard?.isBroken() ? 1 : code),
  (error: unknown) => {
    const isUsage = String((error as { code?: unknown }).code).startsWith('ERR_PARSE_ARGS');
    const isExpected = error instanceof CliError || isUsage;
    console.error(isExpected ? (error as Error).message : error);
    process.exit(error instanceof CliError ? error.exitCode : isUsage ? 2 : 1);
  },
);

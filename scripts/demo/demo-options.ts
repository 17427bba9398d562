import { parseArgs } from 'node:util';
import { DemoError } from './demo-error.ts';

export const usage = `Usage: npm run demo -- [options]
  --port N           the app's port (3000)
  --sandbox-port N   the port of the sandbox, which replaces Unipile and WhatsApp (4010)
  --rows N           direct messages to load, 1 to 5000 (200)
  --fresh            delete the data of earlier demos in .data/demo
  --help             print this`;

export interface DemoOptions {
  port: number;
  sandboxPort: number;
  rows: number;
  fresh: boolean;
  help: boolean;
}

/** Parses the arguments. Throws a `DemoError` with the usage. */
export function readOptions(args: string[]): DemoOptions {
  const values = parse(args);
  const options = {
    port: wholeNumber('port', values.port, 65_535),
    sandboxPort: wholeNumber('sandbox-port', values['sandbox-port'], 65_535),
    // Seven accounts may send 1,000 a day each.
    rows: wholeNumber('rows', values.rows, 5_000),
    fresh: values.fresh,
    help: values.help,
  };
  if (options.port === options.sandboxPort) {
    throw new DemoError(`--port and --sandbox-port are both ${options.port}. Give two different ports.`);
  }
  return options;
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        port: { type: 'string', default: '3000' },
        'sandbox-port': { type: 'string', default: '4010' },
        rows: { type: 'string', default: '200' },
        fresh: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    throw new DemoError(`${(error as Error).message}\n\n${usage}`);
  }
}

function wholeNumber(name: string, text: string, max: number): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= 1 && number <= max) return number;
  throw new DemoError(`--${name} must be a whole number from 1 to ${max}, but is "${text}".\n\n${usage}`);
}

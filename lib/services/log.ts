import pino from 'pino';
import type { Log } from '../engine/ports/log';

/** One line of JSON for each thing worth knowing. Fields that could bear a secret never get out, wherever they stand. */
export function serverLog(level: string): Log {
  const secret = [
    'authorization',
    'apiKey',
    'api_key',
    'token',
    'accessToken',
    'password',
    'secret',
    'serviceRoleKey',
  ];
  return pino({
    level: pino.levels.values[level] === undefined ? 'info' : level,
    base: undefined,
    redact: secret.flatMap((name) => [name, `*.${name}`]),
  });
}

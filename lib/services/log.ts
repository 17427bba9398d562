import pino from 'pino';
import type { Log } from '../engine/ports/log.ts';

/** Makes a log that writes one line of JSON an entry. Redacts fields that may hold a secret, in the entry and in its objects. */
export function serverLog(level: string): Log {
  const secretFields = [
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
    redact: secretFields.flatMap((name) => [name, `*.${name}`]),
  });
}

import { accessEnv } from '../../services/env.ts';
import { HttpError } from '../http-error.ts';
import { bearerToken, secretsEqual } from './secrets.ts';

export function hasCronSecret(request: Request): boolean {
  const token = bearerToken(request);
  // Compares every secret, so that the time does not reveal which one matched.
  const matches = accessEnv().cronSecrets.filter((secret) => token !== null && secretsEqual(token, secret));
  return matches.length > 0;
}

/** Throws an `HttpError` unless the request has CRON_SECRET. */
export function requireCronSecret(request: Request): void {
  if (hasCronSecret(request)) return;
  if (accessEnv().cronSecrets.length === 0) {
    throw new HttpError(
      503,
      'not_configured',
      'CRON_SECRET is not set, so nothing runs: set it and redeploy',
      {
        variables: ['CRON_SECRET'],
      },
    );
  }
  throw new HttpError(
    401,
    'unauthorised',
    'the secret is missing or wrong: send "Authorization: Bearer $CRON_SECRET" with the CRON_SECRET of this server',
  );
}

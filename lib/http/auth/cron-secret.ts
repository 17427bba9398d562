import { accessEnv } from '../../services/env';
import { HttpError } from '../http-error';
import { bearerToken, secretsEqual } from './secrets';

export function hasCronSecret(request: Request): boolean {
  const token = bearerToken(request);
  // Every secret is compared, so that the time tells nothing about which one it was.
  const matches = accessEnv().cronSecrets.filter((secret) => token !== null && secretsEqual(token, secret));
  return matches.length > 0;
}

/** Throws the `HttpError` that refuses a call of a cron endpoint without the secret. */
export function requireCronSecret(request: Request): void {
  if (hasCronSecret(request)) return;
  if (accessEnv().cronSecrets.length === 0) {
    throw new HttpError(503, 'not_configured', 'CRON_SECRET is not set: nothing runs until it is', {
      variables: ['CRON_SECRET'],
    });
  }
  throw new HttpError(
    401,
    'unauthorised',
    'send "Authorization: Bearer $CRON_SECRET", with the CRON_SECRET that this server has',
  );
}

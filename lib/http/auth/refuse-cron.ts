import { accessEnv } from '../../services/env';
import { problem } from '../respond';
import { bearerToken, secretsEqual } from './secrets';

/** Why a call of a cron endpoint is refused; null when it bears the secret. */
export function refuseCron(request: Request): Response | null {
  const { cronSecrets } = accessEnv();
  if (cronSecrets.length === 0) {
    return problem(503, 'not_configured', 'CRON_SECRET is not set: nothing runs until it is', {
      variables: ['CRON_SECRET'],
    });
  }
  const token = bearerToken(request);
  // Every secret is compared, so that the time tells nothing about which one it was.
  const matches = token === null ? [] : cronSecrets.filter((secret) => secretsEqual(token, secret));
  return matches.length > 0
    ? null
    : problem(
        401,
        'unauthorised',
        'send "Authorization: Bearer $CRON_SECRET", with the CRON_SECRET that this server has',
      );
}

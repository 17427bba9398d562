import { EnvError, type ServerEnv, serverEnv } from '../../services/env.ts';
import { type Finding, fail, pass, warn } from './finding.ts';

/** Checks the variables. Returns the environment too; null if it is invalid. */
export function checkEnvironment(source: NodeJS.ProcessEnv): { env: ServerEnv | null; findings: Finding[] } {
  const findings: Finding[] = [];
  let env: ServerEnv | null = null;
  try {
    env = serverEnv(source);
    findings.push(pass('environment: every variable is valid'));
  } catch (error) {
    if (!(error instanceof EnvError)) throw error;
    findings.push(
      fail(`environment: ${error.message}`, `Set ${error.variables.join(' and ')}, here and at your host.`),
    );
  }
  const secret = source.CRON_SECRET?.trim() ?? '';
  if (secret === '')
    findings.push(
      fail('CRON_SECRET is not set, so the cron endpoints are closed', 'Set it: openssl rand -base64 32'),
    );
  else if (secret.length < 16)
    findings.push(
      warn(`CRON_SECRET has ${secret.length} characters`, 'Set a longer one: openssl rand -base64 32'),
    );
  else findings.push(pass('CRON_SECRET is set'));
  if (!source.API_KEY?.trim() && !source.API_KEYS?.trim())
    findings.push(warn('API_KEY is not set, so the API is closed', 'Set it if something calls the API.'));
  return { env, findings };
}

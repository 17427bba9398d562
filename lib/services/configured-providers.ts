import type { ServerEnv } from './env';

/** The names of the providers that this server can send by. */
export function configuredProviders(env: Pick<ServerEnv, 'unipile' | 'whatsappCloud'>): string[] {
  return [...(env.unipile ? ['unipile'] : []), ...(env.whatsappCloud ? ['whatsapp_cloud'] : [])];
}

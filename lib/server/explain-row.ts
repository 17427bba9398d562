import { type Explanation, explanationSchema } from '../store/explanation';
import { configuredProviders } from './configured-providers';
import type { Container } from './container';

/** Why a row stands where it stands; null when there is no such row. Throws a `StoreError`. */
export async function explainRow(
  { rpc, env }: Pick<Container, 'rpc' | 'env'>,
  queue: string,
  id: string,
): Promise<Explanation | null> {
  const answer = await rpc('explain_row', {
    p_queue: queue,
    p_id: id,
    p_configured: configuredProviders(env),
  });
  return explanationSchema.nullable().parse(answer);
}

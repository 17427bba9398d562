import { type RowRefusal, rowRefusal } from '../http/row-refusal';
import { configuredProviders } from '../services/configured-providers';
import type { Container } from '../services/container';
import { type Explanation, explanationSchema } from '../store/explanation';

/** Why a row stands where it stands. Throws a `StoreError`. */
export async function explainRow(
  { rpc, env }: Pick<Container, 'rpc' | 'env'>,
  queue: string,
  id: string,
): Promise<{ explanation: Explanation } | RowRefusal> {
  try {
    const answer = await rpc('explain_row', {
      p_queue: queue,
      p_id: id,
      p_configured: configuredProviders(env),
    });
    const explanation = explanationSchema.nullable().parse(answer);
    return explanation
      ? { explanation }
      : { missing: `there is no row ${id} in ${queue}, or it was pruned since` };
  } catch (error) {
    return rowRefusal(error, 'id');
  }
}

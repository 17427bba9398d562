import { NotFoundError, toHttpError } from '../../http/http-error.ts';
import { configuredProviders } from '../../services/env.ts';
import type { Services } from '../../services/services.ts';
import { type Explanation, explanationSchema } from '../../store/explanation.ts';

/** Explains why a row is in its state. Throws an `HttpError` or a `StoreError`. */
export async function explainRow(
  { rpc, env }: Pick<Services, 'rpc' | 'env'>,
  queue: string,
  id: string,
): Promise<Explanation> {
  try {
    const response = await rpc('explain_row', {
      p_queue: queue,
      p_id: id,
      p_configured: configuredProviders(env),
    });
    const explanation = explanationSchema.nullable().parse(response);
    if (explanation) return explanation;
  } catch (error) {
    throw toHttpError(error, 'id');
  }
  throw new NotFoundError(`there is no row ${id} in ${queue}, or retention has deleted it`);
}

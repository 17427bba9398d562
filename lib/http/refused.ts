import { problem } from './respond';
import type { RowRefusal } from './row-refusal';

/** The answer for what was refused: 404, 409, or `invalid` with what is wrong in each field. */
export function refused(why: RowRefusal, invalid: 400 | 422 = 422, message = 'this cannot be'): Response {
  if ('missing' in why) return problem(404, 'not_found', why.missing);
  if ('conflict' in why) return problem(409, 'conflict', why.conflict);
  return problem(invalid, 'invalid', message, { errors: why.errors });
}

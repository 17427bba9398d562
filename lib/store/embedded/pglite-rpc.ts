import type { PGlite } from '@electric-sql/pglite';
import { StoreError } from '../../engine/ports/store-error.ts';
import { callText } from '../call-text.ts';
import type { Rpc } from '../rpc.ts';
import { storeErrorKind } from '../store-error-kind.ts';

/** `Rpc` over an embedded Postgres in this process. */
export function pgliteRpc(db: PGlite): Rpc {
  return async (fn, args) => {
    const call = callText(fn, Object.keys(args));
    try {
      const { rows } = await db.query<{ result: unknown }>(call, Object.values(args));
      return rows[0]?.result;
    } catch (error) {
      const { code, message, hint, detail } = error as {
        code?: string;
        message: string;
        hint?: string;
        detail?: string;
      };
      throw new StoreError(
        storeErrorKind(code ?? null),
        hint ? `${message} (${hint})` : message,
        code ?? null,
        { cause: error, detail },
      );
    }
  };
}

import type { PGlite } from '@electric-sql/pglite';
import { StoreError } from '../../engine/ports/store-error.ts';
import type { Rpc } from '../rpc.ts';
import { storeErrorKind } from '../store-error-kind.ts';

/** `Rpc` over an embedded Postgres in this process. */
export function pgliteRpc(db: PGlite): Rpc {
  return async (fn, args) => {
    const names = Object.keys(args);
    const call = `select punctual.${identifier(fn)}(${names.map((name, i) => `${identifier(name)} => $${i + 1}`).join(', ')}) as result`;
    try {
      const { rows } = await db.query<{ result: unknown }>(call, Object.values(args));
      return rows[0]?.result;
    } catch (error) {
      const { code, message, hint } = error as { code?: string; message: string; hint?: string };
      throw new StoreError(
        storeErrorKind(code ?? null),
        hint ? `${message} (${hint})` : message,
        code ?? null,
        { cause: error },
      );
    }
  };
}

function identifier(name: string): string {
  if (!/^[a-z_]+$/.test(name)) throw new TypeError(`"${name}" is not the name of a function or a parameter`);
  return name;
}

import type { StoreError } from '../engine/ports/store-error.ts';
import type { NotConfiguredError } from '../engine/queue.ts';
import type { SqlError } from '../store/embedded/pglite-sql.ts';
import type { MigrationError } from '../store/migrate/migrations.ts';
import type { EnvError } from './env.ts';

interface OurErrors {
  EnvError: EnvError;
  NotConfiguredError: NotConfiguredError;
  StoreError: StoreError;
  MigrationError: MigrationError;
  SqlError: SqlError;
}

/**
 * Whether an error is one of ours. Compares names, not classes: Next bundles pages and routes apart, each with classes of its own, and the shared
 * services throw the classes of the bundle that made them.
 */
export function isError<Name extends keyof OurErrors>(error: unknown, name: Name): error is OurErrors[Name] {
  return error instanceof Error && error.name === name;
}

/** One edit to what is shipped, and the guarantee that goes with it. */
export interface Mutant {
  name: string;
  guarantee: string;
  file: string;
  /** Occurs exactly once. */
  find: string;
  replace: string;
}

export const migration = (name: string) => `supabase/migrations/20261122000${name}.sql`;

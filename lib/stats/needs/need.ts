import { createHash } from 'node:crypto';

/** Something that waits for a person, or that a person should know. */
export interface Need {
  /** The same as long as it is about the same thing: `dm_queue.error.6fa1c0de`. Lower-case letters, digits, `_`, `-` and dots. */
  key: string;
  /** `bad` lasts until somebody corrects it. `warn` waits for a decision. `wait` ends by itself. */
  tone: 'bad' | 'warn' | 'wait';
  /** The queue that it is about; null if it is about none. */
  queue: string | null;
  /** What it is and how many. */
  text: string;
  /** Why, in the words of the database or a provider. */
  detail?: string | null;
  since?: string | null;
  /** When it ends by itself. */
  until?: string | null;
  /** How many rows, monitors or accounts it counts. */
  count: number;
  /** Which errors, incidents or pauses it is about, if these can change while the key stays. */
  parts: string[];
  /** The dashboard's page that shows more, and the words of the link to it. */
  href: string;
  act: string;
  /** The entry of the rail that is marked: a path of a page. */
  page: string;
}

/** Returns eight hexadecimal digits for a text, as a part of a key. */
export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

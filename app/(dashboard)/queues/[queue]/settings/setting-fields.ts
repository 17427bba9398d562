/** A setting as a form shows it. */
export interface SettingField {
  name: string;
  label: string;
  /** What it does. */
  meaning: string;
  /** The bounds of a number; null for yes or no. */
  bounds: { min: number; max: number | null } | null;
  /** Says what an empty field means; null if it may not be empty. */
  empty: string | null;
}

const number = (min: number, max: number | null = null) => ({ bounds: { min, max } });

/** Settings that a queue and each of its partitions have. The bounds are those of `changeSettings`: docs/settings.md. */
const shared: SettingField[] = [
  {
    ...number(1),
    name: 'batch_limit',
    label: 'Rows a tick',
    meaning: 'Rows that one tick claims at most.',
    empty: 'no limit',
  },
  {
    ...number(1, 1_000),
    name: 'concurrency',
    label: 'Rows at once',
    meaning: 'Rows that run at once in one tick.',
    empty: null,
  },
  {
    name: 'adaptive',
    label: 'Follow the backlog',
    meaning: 'Rows a tick and rows at once grow and shrink with the due rows.',
    bounds: null,
    empty: null,
  },
  {
    ...number(1),
    name: 'budget_seconds',
    label: 'Seconds a tick works',
    meaning: 'A tick starts no row that would not end within this time.',
    empty: 'all that its limit leaves, 45 s of 60 s',
  },
  {
    ...number(1, 100),
    name: 'max_ticks',
    label: 'Ticks at once',
    meaning: 'Ticks of one partition that run at once.',
    empty: null,
  },
  {
    ...number(1, 785),
    name: 'timeout_seconds',
    label: 'Seconds an attempt takes',
    meaning: 'An attempt without an answer is cut after this time. At most 43 s if ticks have 60 s.',
    empty: null,
  },
];

export const queueFields: SettingField[] = [
  ...shared,
  {
    ...number(0, 1_000),
    name: 'max_continuations',
    label: 'Continuations',
    meaning: 'While rows are left, so many more ticks start at once after a scheduler’s call. 0 is none.',
    empty: null,
  },
  {
    ...number(1, 1_000_000),
    name: 'max_attempts',
    label: 'Attempts',
    meaning: 'After so many failed attempts a row is dead.',
    empty: null,
  },
  {
    ...number(1),
    name: 'backoff_base_seconds',
    label: 'First wait, seconds',
    meaning: 'The wait after a first failed attempt. It doubles each time, with full jitter.',
    empty: null,
  },
  {
    ...number(1),
    name: 'backoff_cap_seconds',
    label: 'Longest wait, seconds',
    meaning: 'The wait grows up to this. At least the first wait.',
    empty: null,
  },
  {
    ...number(31),
    name: 'lease_seconds',
    label: 'Lease, seconds',
    meaning: 'How long a claim holds. A tick’s limit and 30 s in any case.',
    empty: null,
  },
  {
    ...number(1, 36_500),
    name: 'retention_days',
    label: 'Days kept',
    meaning: 'Settled rows are deleted after this.',
    empty: 'they are kept',
  },
];

export const partitionFields: SettingField[] = [
  ...shared.map((field) => ({ ...field, empty: 'the queue’s' })),
  {
    ...number(1),
    name: 'max_running',
    label: 'Rows at once in all ticks',
    meaning: '1 makes the partition blocking: one row at a time, in order.',
    empty: 'no limit',
  },
];

/** Says the bounds of a field: `1 to 1,000`, `1 or more; empty: no limit`. */
export function boundsInWords({ bounds, empty }: SettingField): string {
  const range = bounds && rangeInWords(bounds);
  return [range, empty && `empty: ${empty}`].filter(Boolean).join('; ');
}

function rangeInWords({ min, max }: { min: number; max: number | null }): string {
  return max === null ? `${min} or more` : `${min} to ${max.toLocaleString('en-US')}`;
}

/**
 * Reads the settings of a form that differ from those that it was drawn with, `was`. So a form that stood open for long writes nothing that somebody
 * else changed meanwhile. A number that is not one stays a text, which the schema refuses.
 */
export function readChanges(form: FormData, fields: SettingField[], was: Record<string, unknown>) {
  const changes: Record<string, unknown> = {};
  for (const field of fields) {
    const value = readValue(form.get(field.name), field);
    if (value !== undefined && value !== was[field.name]) changes[field.name] = value;
  }
  return changes;
}

function readValue(value: FormDataEntryValue | null, { bounds }: SettingField): unknown {
  if (typeof value !== 'string') return undefined;
  const text = value.trim();
  if (text === '') return null;
  if (bounds === null) return text === 'true';
  return Number.isNaN(Number(text)) ? text : Number(text);
}

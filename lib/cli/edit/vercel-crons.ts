import { z } from 'zod';
import type { CronEntry } from '../../worker/local-scheduler.ts';
import { CliError } from '../cli-error.ts';
import { findMember, indentOf } from './json-text.ts';

const file = z.object({
  crons: z.array(z.object({ path: z.string(), schedule: z.string() })).optional(),
});

/** Reads the cron entries of a vercel.json. Throws a `CliError` if it is invalid. */
export function readCronEntries(text: string | null): CronEntry[] {
  if (text === null) return [];
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CliError(
      `vercel.json is not valid JSON: ${(error as Error).message}. Correct it and run this again.`,
    );
  }
  const parsed = file.safeParse(value);
  if (parsed.success) return parsed.data.crons ?? [];
  const faults = parsed.error.issues.map(
    ({ path, message }) => `${path.join('.') || 'the file'}: ${message}`,
  );
  throw new CliError(`vercel.json is invalid: ${faults.join('; ')}. Correct it and run this again.`);
}

/** Returns the text of a vercel.json with the entries whose paths it lacks. Everything else keeps its form. */
export function addCronEntries(text: string | null, entries: CronEntry[]): string {
  const known = readCronEntries(text).map(({ path }) => path);
  const missing = entries.filter(({ path }) => !known.includes(path));
  if (missing.length === 0) return text ?? '';
  if (text === null)
    return addCronEntries(`{\n  "$schema": "https://openapi.vercel.sh/vercel.json"\n}\n`, entries);
  const newline = text.includes('\r\n') ? '\r\n' : '\n';
  const indent = indentOf(text);
  const array = findMember(text, 'crons');
  if (!array) {
    const end = text.lastIndexOf('}');
    const before = text.slice(0, end).trimEnd();
    const comma = before.endsWith('{') ? '' : ',';
    const list = missing.map((entry) => `${indent}${indent}${oneLine(entry)}`).join(`,${newline}`);
    const member = `${indent}"crons": [${newline}${list}${newline}${indent}]`;
    return `${before}${comma}${newline}${member}${newline}${text.slice(end)}`;
  }
  const list = withEntries(text.slice(array.start, array.end), missing, indent, newline);
  return text.slice(0, array.start) + list + text.slice(array.end);
}

/** Adds entries to the text of an array, in the form of its last entry. */
function withEntries(array: string, entries: CronEntry[], indent: string, newline: string): string {
  const inner = array.slice(1, -1);
  if (inner.trim() === '') {
    const list = entries.map((entry) => `${indent}${indent}${oneLine(entry)}`).join(`,${newline}`);
    return `[${newline}${list}${newline}${indent}]`;
  }
  const body = inner.trimEnd();
  const tail = inner.slice(body.length);
  if (!inner.includes('\n')) return `[${body}, ${entries.map(oneLine).join(', ')}${tail}]`;
  const itemIndent = /\n([ \t]*)\S/.exec(inner)?.[1] ?? indent + indent;
  const isExpanded = /\n/.test(body.slice(body.lastIndexOf('{')));
  const write = (entry: CronEntry) =>
    isExpanded ? expanded(entry, itemIndent, indent, newline) : oneLine(entry);
  return `[${body}${entries.map((entry) => `,${newline}${itemIndent}${write(entry)}`).join('')}${tail}]`;
}

const oneLine = ({ path, schedule }: CronEntry) =>
  `{ "path": ${JSON.stringify(path)}, "schedule": ${JSON.stringify(schedule)} }`;

function expanded(
  { path, schedule }: CronEntry,
  itemIndent: string,
  indent: string,
  newline: string,
): string {
  const member = (key: string, value: string) => `${itemIndent}${indent}"${key}": ${JSON.stringify(value)}`;
  return `{${newline}${member('path', path)},${newline}${member('schedule', schedule)}${newline}${itemIndent}}`;
}

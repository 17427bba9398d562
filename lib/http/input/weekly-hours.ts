import { z } from 'zod';
import { atMost } from './at-most.ts';

const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
const clockTime = '(?:[01]\\d|2[0-3]):[0-5]\\d';
const span = new RegExp(`^(${clockTime})-(${clockTime}|24:00)$`);

/** `09:00-17:30`, without its end. Hours past midnight are two spans, on two days. */
const openSpan = z
  .string()
  .regex(span, 'must be a span, for example "09:00-17:00"; the latest end is 24:00')
  .refine((value) => {
    const [from = '', to = ''] = value.split('-');
    return from < to;
  }, 'must end after it begins; write hours past midnight as two spans, on two days');

const day = atMost(24, z.array(openSpan)).refine(areDisjoint, 'has overlapping spans').optional();

/**
 * Weekly hours of an account or of a sequence's step, in its time zone: `{ "mon": ["09:00-12:00", "13:00-24:00"], … }`. A missing or empty day is
 * closed. At least one day must be open.
 */
export const weeklyHours = z
  .strictObject(Object.fromEntries(weekdays.map((name) => [name, day])) as Record<Weekday, typeof day>)
  .refine(
    (hours) => Object.values(hours).some((spans) => spans && spans.length > 0),
    'must be open on at least one day; send null for always open',
  );

type Weekday = (typeof weekdays)[number];

/** Compares times as text, because all have the same form. */
function areDisjoint(spans: string[]): boolean {
  const inOrder = [...spans].sort();
  return inOrder.every((value, n) => n === 0 || (inOrder[n - 1]?.split('-')[1] ?? '') <= value.slice(0, 5));
}

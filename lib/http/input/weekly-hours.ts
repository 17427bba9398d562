import { z } from 'zod';
import { atMost } from './at-most';

const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
const clockTime = '(?:[01]\\d|2[0-3]):[0-5]\\d';
const span = new RegExp(`^(${clockTime})-(${clockTime}|24:00)$`);

/** `09:00-17:30`; the end is not part of it. What goes past midnight is two spans, of two days. */
const openSpan = z
  .string()
  .regex(span, 'is no span such as "09:00-17:00"; 24:00 is the latest end')
  .refine((value) => {
    const [from = '', to = ''] = value.split('-');
    return from < to;
  }, 'ends before it begins, or as it begins; what goes past midnight is two spans, of two days');

const day = atMost(24, z.array(openSpan)).refine(isApart, 'has spans that overlap').optional();

/**
 * When an account may send, by its own clock: `{ "mon": ["09:00-12:00", "13:00-24:00"], … }`. A day that is left out, or empty, is
 * closed; on one day at least it must be open.
 */
export const weeklyHours = z
  .strictObject(Object.fromEntries(weekdays.map((name) => [name, day])) as Record<Weekday, typeof day>)
  .refine(
    (hours) => Object.values(hours).some((spans) => spans && spans.length > 0),
    'is closed on every day; null is always open, and paused_until closes for a while',
  );

type Weekday = (typeof weekdays)[number];

/** Times of the same form compare as texts. */
function isApart(spans: string[]): boolean {
  const inOrder = [...spans].sort();
  return inOrder.every((value, n) => n === 0 || (inOrder[n - 1]?.split('-')[1] ?? '') <= value.slice(0, 5));
}

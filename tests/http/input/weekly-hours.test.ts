import { describe, expect, it } from 'vitest';
import { weeklyHours } from '../../../lib/http/input/weekly-hours.ts';

/** Returns the first error as `path: message`, or null. */
function firstError(hours: unknown): string | null {
  const issue = weeklyHours.safeParse(hours).error?.issues[0];
  return issue ? `${issue.path.join('.')}: ${issue.message}` : null;
}

const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

describe('weeklyHours', () => {
  it.each<[label: string, hours: object]>([
    ['one span', { mon: ['09:00-17:00'] }],
    ['every day', Object.fromEntries(days.map((day) => [day, ['00:00-24:00']]))],
    ['a break at noon', { tue: ['09:00-12:00', '13:00-24:00'] }],
    ['spans that touch', { wed: ['09:00-12:00', '12:00-13:00'] }],
    ['spans in any order', { thu: ['13:00-17:00', '09:00-12:00'] }],
    ['a single minute', { fri: ['23:59-24:00'] }],
    ['a closed day', { sat: [], sun: ['10:00-11:00'] }],
  ])('accepts %s', (_label, hours) => {
    expect(firstError(hours)).toBeNull();
    expect(weeklyHours.parse(hours)).toEqual(hours);
  });

  const notASpan = 'must be a span, for example "09:00-17:00"; the latest end is 24:00';
  const backwards = 'must end after it begins; write hours past midnight as two spans, on two days';
  const overlapping = 'mon: has overlapping spans';
  const closed = ': must be open on at least one day; send null for always open';
  it.each<[label: string, hours: unknown, expected: string]>([
    ['an unknown day', { Mon: ['09:00-17:00'] }, ': Unrecognized key: "Mon"'],
    ['a span past midnight', { mon: ['22:00-02:00'] }, `mon.0: ${backwards}`],
    ['a span of no length', { mon: ['09:00-09:00'] }, `mon.0: ${backwards}`],
    ...['24:00-24:00', '09:00-24:01', '09:00-25:00', '09:60-10:00', '9:00-17:00', '09:00:00-17:00:00'].map(
      (span): [string, object, string] => [span, { mon: [span] }, `mon.0: ${notASpan}`],
    ),
    ['spaces', { mon: ['09:00 - 17:00'] }, `mon.0: ${notASpan}`],
    ['a line break at the end', { mon: ['09:00-17:00\n'] }, `mon.0: ${notASpan}`],
    ['a wrong second span', { mon: ['09:00-17:00', 'noon'] }, `mon.1: ${notASpan}`],
    ['spans that overlap', { mon: ['09:00-12:00', '11:59-13:00'] }, overlapping],
    ['spans that overlap, the later first', { mon: ['11:00-13:00', '09:00-12:00'] }, overlapping],
    ['a span within another', { mon: ['09:00-17:00', '10:00-11:00', '16:00-18:00'] }, overlapping],
    ['a week without hours', {}, closed],
    ['a week of closed days', { mon: [], tue: [] }, closed],
  ])('refuses %s', (_label, hours, expected) => {
    expect(firstError(hours)).toBe(expected);
  });
});

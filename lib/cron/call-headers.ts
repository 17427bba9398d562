/**
 * The headers in which a call describes itself. docs/schedulers.md has the three for a scheduler of your own; Punctual sends `path`,
 * `continuation` and `runId`. Missing or malformed ones are ignored.
 */
export const callHeaders = {
  scheduler: 'x-punctual-scheduler',
  schedule: 'x-punctual-schedule',
  slot: 'x-punctual-slot',
  path: 'x-punctual-path',
  continuation: 'x-punctual-continuation',
  runId: 'x-punctual-run-id',
} as const;

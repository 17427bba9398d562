/** The headers in which a scheduler describes its call; docs/schedulers.md explains them. Missing or malformed ones are ignored. */
export const callHeaders = {
  scheduler: 'x-punctual-scheduler',
  schedule: 'x-punctual-schedule',
  slot: 'x-punctual-slot',
  path: 'x-punctual-path',
  continuation: 'x-punctual-continuation',
  runId: 'x-punctual-run-id',
} as const;

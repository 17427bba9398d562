/** The words of `dm_queue` for the six states, as its migration declares them, and the states. */
export const dmStates = {
  pending: 'pending',
  sending: 'running',
  sent: 'done',
  failed: 'dead',
  unknown: 'unknown',
  cancelled: 'cancelled',
} as const;

export type DmStatus = keyof typeof dmStates;

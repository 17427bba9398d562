/** The form of a scheduler's name in the ledger. */
export const schedulerName = /^[a-z][a-z0-9-]{0,19}$/;

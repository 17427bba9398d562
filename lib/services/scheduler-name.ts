/** How ticks name what called them. */
export const schedulerName = /^[a-z][a-z0-9-]{0,19}$/;

/** How ticks name what called them. */
export const clockName = /^[a-z][a-z0-9-]{0,19}$/;

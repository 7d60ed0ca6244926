/** The longest delay of a Node timer, in milliseconds. A longer delay overflows and fires after 1 ms. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

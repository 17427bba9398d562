import countWords from './count-words.ts';
import failFirst from './fail-first.ts';
import nap from './nap.ts';

/** The handlers of this app's jobs, by name. Add your own here. */
export const handlers = {
  'count-words': countWords,
  'fail-first': failFirst,
  nap,
};

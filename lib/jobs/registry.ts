// Written by scripts/list-jobs.mjs from the files in handlers/: change those.
// biome-ignore-all format: written by a script
// biome-ignore-all assist/source/organizeImports: written by a script
import countWordsJob from './handlers/count-words';
import failFirstJob from './handlers/fail-first';
import napJob from './handlers/nap';

export const registry = {
  'count-words': countWordsJob,
  'fail-first': failFirstJob,
  'nap': napJob,
};

import { boundedMutants } from './bounded-mutants.ts';
import { edgeMutants } from './edge-mutants.ts';
import { engineMutants } from './engine-mutants.ts';
import type { Mutant } from './mutant.ts';
import { privacyMutants } from './privacy-mutants.ts';
import { restoreMutants } from './restore-mutants.ts';
import { simulationMutants } from './simulation-mutants.ts';
import { tickMutants } from './tick-mutants.ts';

/** What tests have to see; the simulation has to see its own. */
export const allMutants: Mutant[] = [
  ...engineMutants,
  ...tickMutants,
  ...boundedMutants,
  ...edgeMutants,
  ...privacyMutants,
  ...restoreMutants,
  ...simulationMutants,
];

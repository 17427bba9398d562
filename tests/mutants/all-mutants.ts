import { boundedMutants } from './bounded-mutants';
import { edgeMutants } from './edge-mutants';
import { engineMutants } from './engine-mutants';
import type { Mutant } from './mutant';
import { privacyMutants } from './privacy-mutants';
import { restoreMutants } from './restore-mutants';
import { simulationMutants } from './simulation-mutants';
import { tickMutants } from './tick-mutants';

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

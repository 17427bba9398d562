import { accountMutants } from './account-mutants.ts';
import { actionMutants } from './action-mutants.ts';
import { apiMutants } from './api-mutants.ts';
import { boundedMutants } from './bounded-mutants.ts';
import { callMutants } from './call-mutants.ts';
import { edgeMutants } from './edge-mutants.ts';
import { engineMutants } from './engine-mutants.ts';
import { laneMutants } from './lane-mutants.ts';
import type { Mutant } from './mutant.ts';
import { operateMutants } from './operate-mutants.ts';
import { privacyMutants } from './privacy-mutants.ts';
import { registryMutants } from './registry-mutants.ts';
import { restoreMutants } from './restore-mutants.ts';
import { simulationMutants } from './simulation-mutants.ts';
import { tickMutants } from './tick-mutants.ts';

/** All mutants. A test must catch each; the simulation must catch its own. */
export const allMutants: Mutant[] = [
  ...engineMutants,
  ...registryMutants,
  ...accountMutants,
  ...actionMutants,
  ...tickMutants,
  ...apiMutants,
  ...boundedMutants,
  ...callMutants,
  ...edgeMutants,
  ...laneMutants,
  ...operateMutants,
  ...privacyMutants,
  ...restoreMutants,
  ...simulationMutants,
];

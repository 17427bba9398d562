import { type AddressCheck, addressCheck as checkBy } from '../../net/address-check.ts';
import { type MonitorEnv, monitorGuard } from './queue.ts';

/** Makes the address check for one API call, with the same guard as the monitors' own checks. */
export const addressCheck = (env: MonitorEnv): AddressCheck => checkBy(monitorGuard(env));

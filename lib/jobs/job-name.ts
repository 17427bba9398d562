import type { z } from 'zod';
import type { registry } from './registry.ts';

/** The names of all jobs, which are those of the files in `handlers/`. */
export type JobName = keyof typeof registry;

/** The payload that a job of that name is created with. */
export type JobPayload<Name extends JobName> = z.input<(typeof registry)[Name]['payload']>;

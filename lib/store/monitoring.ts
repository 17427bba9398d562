import { z } from 'zod';

/** `new`: not checked yet. */
export const monitorStates = ['up', 'degraded', 'down', 'new', 'inactive'] as const;

const verdict = z.enum(['up', 'degraded', 'down']);
const criticality = z.enum(['critical', 'high', 'normal', 'low']);
/** From 0 to 1; null if nothing was checked. */
const share = z.number().nullable();
const uptime = z.object({ day: share, week: share, month: share });

/** The duration of a check and of its phases, summed over redirects. Null if a phase did not happen or could not be measured. */
const times = {
  total_ms: z.number(),
  dns_ms: z.number().nullable(),
  connect_ms: z.number().nullable(),
  tls_ms: z.number().nullable(),
  first_byte_ms: z.number().nullable(),
};

export const monitorSummary = z.object({
  id: z.string(),
  name: z.string(),
  url: z.string(),
  interval_seconds: z.number(),
  criticality,
  is_active: z.boolean(),
  /** `scheduled`, `checking`, `inactive`, `dead` or `unknown`. */
  status: z.string(),
  /** The region that checks it now. */
  region: z.string(),
  /** The region that checks it while that region is healthy. */
  home_region: z.string().nullable(),
  preferred_region: z.string().nullable(),
  /** Null if not checked yet. */
  state: verdict.nullable(),
  state_since: z.string().nullable(),
  /** A failure is being confirmed. */
  suspect: z.boolean(),
  last_checked_at: z.string().nullable(),
  next_check_at: z.string().nullable(),
  last: z
    .object({ verdict, error: z.string().nullable(), status_code: z.number().nullable(), ...times })
    .nullable(),
  uptime,
});

const monitorIncident = z.object({
  id: z.string(),
  /** When the first failed check ran. */
  started_at: z.string(),
  /** When enough checks had failed. */
  opened_at: z.string(),
  /** When the first good check ran. */
  ended_at: z.string().nullable(),
  closed_at: z.string().nullable(),
  /** Its duration, so far if it is open. */
  seconds: z.number(),
  cause: z.string().nullable(),
  /** The regions whose checks failed. */
  regions: z.array(z.string()),
});

export const incidentSchema = monitorIncident.extend({
  monitor_id: z.string(),
  /** The monitor's name. */
  monitor: z.string(),
  url: z.string(),
});

export const regionSchema = z.object({
  name: z.string(),
  is_default: z.boolean(),
  is_healthy: z.boolean(),
  /** Why it is unhealthy; null if it is healthy. */
  reason: z.string().nullable(),
  last_tick_at: z.string().nullable(),
  /** Its monitors move to other regions after this long without a tick. */
  unseen_seconds: z.number(),
  network_broken_until: z.string().nullable(),
  /** Monitors that it checks now. */
  monitors: z.number(),
  /** Monitors whose home region it is. */
  homes: z.number(),
});

const check = z.object({
  /** When the check started. */
  at: z.string(),
  scheduled_at: z.string().nullable(),
  region: z.string(),
  verdict,
  /** False if its region's network was broken, so the check says nothing about the site. */
  counted: z.boolean(),
  error: z.string().nullable(),
  status_code: z.number().nullable(),
  redirects: z.number().nullable(),
  address: z.string().nullable(),
  ...times,
});

/** A monitor in full. The values of its headers are masked, because they may be secrets. */
export const monitorSchema = z.object({
  id: z.string(),
  name: z.string(),
  url: z.string(),
  method: z.string(),
  headers: z.record(z.string(), z.string()),
  expected_status: z.string(),
  keyword_present: z.string().nullable(),
  keyword_absent: z.string().nullable(),
  timeout_ms: z.number(),
  max_redirects: z.number(),
  degraded_ms: z.number().nullable(),
  certificate_days: z.number().nullable(),
  interval_seconds: z.number(),
  criticality,
  is_active: z.boolean(),
  preferred_region: z.string().nullable(),
  only_regions: z.array(z.string()).nullable(),
  confirm_failures: z.number(),
  confirm_checks: z.number(),
  status: z.string(),
  region: z.string(),
  home_region: z.string().nullable(),
  next_check_at: z.string().nullable(),
  last_scheduled_at: z.string().nullable(),
  last_checked_at: z.string().nullable(),
  state: verdict.nullable(),
  state_since: z.string().nullable(),
  suspect_since: z.string().nullable(),
  certificate_expires_at: z.string().nullable(),
  created_at: z.string(),
  uptime,
  /** The latest first. */
  checks: z.array(check),
  incidents: z.array(monitorIncident),
});

/** A page of monitors, by id. `next` is the `cursor` of the next page; null at the end. */
export const monitorPage = z.object({ monitors: z.array(monitorSummary), next: z.string().nullable() });

/** A page of incidents, the newest first. */
export const incidentPage = z.object({ incidents: z.array(incidentSchema), next: z.string().nullable() });

/** The dashboard's summary of all monitors. */
export const monitoringSchema = z.object({
  now: z.string(),
  counts: z.object({
    up: z.number(),
    degraded: z.number(),
    down: z.number(),
    new: z.number(),
    inactive: z.number(),
  }),
  regions: z.array(regionSchema),
  /** The 60 worst monitors, the worst first. */
  monitors: z.array(monitorSummary),
  incidents: z.object({ open: z.array(incidentSchema), recent: z.array(incidentSchema) }),
});

export type Monitoring = z.infer<typeof monitoringSchema>;
export type MonitorSummary = z.infer<typeof monitorSummary>;
export type Monitor = z.infer<typeof monitorSchema>;
export type Check = z.infer<typeof check>;
export type Incident = z.infer<typeof incidentSchema>;
export type Region = z.infer<typeof regionSchema>;
export type MonitorState = (typeof monitorStates)[number];

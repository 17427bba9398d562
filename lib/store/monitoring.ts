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
  status: z.string().describe('`scheduled`, `checking`, `inactive`, `dead` or `unknown`.'),
  region: z.string().describe('The region that checks it now.'),
  home_region: z.string().nullable().describe('The region that checks it while that region is healthy.'),
  preferred_region: z.string().nullable(),
  state: verdict.nullable().describe('Null if not checked yet.'),
  state_since: z.string().nullable(),
  suspect: z.boolean().describe('A failure is being confirmed.'),
  last_checked_at: z.string().nullable(),
  next_check_at: z.string().nullable(),
  last: z
    .object({ verdict, error: z.string().nullable(), status_code: z.number().nullable(), ...times })
    .nullable(),
  uptime,
});

const monitorIncident = z.object({
  id: z.string(),
  started_at: z.string().describe('When the first failed check ran.'),
  opened_at: z.string().describe('When enough checks had failed.'),
  ended_at: z.string().nullable().describe('When the first good check ran.'),
  closed_at: z.string().nullable(),
  seconds: z.number().describe('Its duration, so far if it is open.'),
  cause: z.string().nullable(),
  regions: z.array(z.string()).describe('The regions whose checks failed.'),
});

export const incidentSchema = monitorIncident.extend({
  monitor_id: z.string(),
  monitor: z.string().describe("The monitor's name."),
  url: z.string(),
});

export const regionSchema = z.object({
  name: z.string(),
  is_default: z.boolean(),
  is_healthy: z.boolean(),
  reason: z.string().nullable().describe('Why it is unhealthy; null if it is healthy.'),
  last_tick_at: z.string().nullable(),
  unseen_seconds: z.number().describe('Its monitors move to other regions after this long without a tick.'),
  network_broken_until: z.string().nullable(),
  monitors: z.number().describe('Monitors that it checks now.'),
  homes: z.number().describe('Monitors whose home region it is.'),
});

const check = z.object({
  at: z.string().describe('When the check started.'),
  scheduled_at: z.string().nullable(),
  region: z.string(),
  verdict,
  counted: z
    .boolean()
    .describe("False if its region's network was broken, so the check says nothing about the site."),
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
  checks: z.array(check).describe('The latest first.'),
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
  monitors: z.array(monitorSummary).describe('The 60 worst monitors, the worst first.'),
  incidents: z.object({ open: z.array(incidentSchema), recent: z.array(incidentSchema) }),
});

export type Monitoring = z.infer<typeof monitoringSchema>;
export type MonitorSummary = z.infer<typeof monitorSummary>;
export type Monitor = z.infer<typeof monitorSchema>;
export type Check = z.infer<typeof check>;
export type Incident = z.infer<typeof incidentSchema>;
export type Region = z.infer<typeof regionSchema>;
export type MonitorState = (typeof monitorStates)[number];

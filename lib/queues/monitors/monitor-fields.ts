import { z } from 'zod';
import type { FieldError } from '../../http/field-error';
import { atMost } from '../../http/input/at-most';
import { nonBlankText, nonEmptyText } from '../../http/input/storable-text';
import { kindOf, type MonitorKind, monitorUrl } from './monitor-url';

/** As regions are called. */
export const regionName = z
  .string()
  .regex(
    /^[a-z][a-z0-9-]{0,39}$/,
    'is no name of a region: up to 40 lower-case letters, digits and -, beginning with a letter',
  );

/** What the connection itself says, or what would make two requests of one. */
const ownHeaders =
  /^(host|connection|content-length|transfer-encoding|upgrade|te|trailer|expect|keep-alive|http2-settings|proxy-.*)$/i;

/** Messages name headers and never show what is in them: it may be a secret. */
const headers = atMost(
  50,
  z.record(z.string(), z.string('is no text').max(4_000, 'is longer than 4,000 characters')),
).superRefine((value, context) => {
  const names = Object.keys(value);
  const refuse = (path: string[], message: string) =>
    context.addIssue({ code: 'custom', path, message, input: undefined });
  if (new Set(names.map((name) => name.toLowerCase())).size < names.length) {
    refuse([], 'name one header twice, in small and in capital letters');
  }
  for (const [name, text] of Object.entries(value)) {
    if (!/^[\w!#$%&'*+.^`|~-]{1,100}$/.test(name)) refuse([name], 'is no name of a header');
    else if (ownHeaders.test(name)) refuse([name], 'is set by the check itself');
    if (text === '***') refuse([name], 'is masked: send its true value, or leave headers out to keep them');
    else if (!/^[\x20-\x7e\xa0-\xff]*$/.test(text)) {
      refuse([name], 'contains a character that a header cannot have');
    }
  }
});

const expectedStatus = z
  .string()
  .max(200)
  .transform((value) => value.replaceAll(' ', ''))
  .refine(
    (value) => value.split(',').every(isStatusRange),
    'is no list of codes and ranges from 100 to 599, as in "200-299,301"',
  );

function isStatusRange(range: string): boolean {
  const [, first, last = first] = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(range) ?? [];
  return first !== undefined && Number(first) <= Number(last);
}

const keyword = nonEmptyText(500).nullable();

/** What may be said of a monitor besides its name and its url. What is left out is as the table's defaults are. */
const settings = {
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']).optional(),
  headers: headers.optional(),
  expected_status: expectedStatus.optional(),
  keyword_present: keyword.optional(),
  keyword_absent: keyword.optional(),
  timeout_ms: z.int().min(100).max(30_000).optional(),
  max_redirects: z.int().min(0).max(10).optional(),
  /** Slower than this is degraded; null: however slow. */
  degraded_ms: z.int().min(1).max(30_000).nullable().optional(),
  /** A certificate that expires within so many days is degraded; null: it is not looked at. */
  certificate_days: z.int().min(1).max(3_650).nullable().optional(),
  interval_seconds: z.int().min(10).max(86_400).optional(),
  criticality: z.enum(['critical', 'high', 'normal', 'low']).optional(),
  is_active: z.boolean().optional(),
  preferred_region: regionName.nullable().optional(),
  /** Null: it may be checked from all. */
  only_regions: atMost(50, z.array(regionName).min(1, 'is empty: nothing could check it'))
    .refine((names) => new Set(names).size === names.length, 'names a region twice')
    .nullable()
    .optional(),
  confirm_failures: z.int().min(1).max(10).optional(),
  confirm_checks: z.int().min(1).max(10).optional(),
};
const name = nonBlankText(200);

export const newMonitor = z.strictObject({
  name,
  url: monitorUrl,
  ...settings,
  idempotency_key: nonEmptyText(200).optional(),
});

export const monitorChanges = z.strictObject({
  name: name.optional(),
  url: monitorUrl.optional(),
  ...settings,
});

/** The parts of a monitor that have to go together, as they are or are going to be. */
export interface MonitorWhole {
  url: string;
  method: string;
  timeout_ms: number;
  degraded_ms: number | null;
  keyword_present: string | null;
  keyword_absent: string | null;
  preferred_region: string | null;
  only_regions: string[] | null;
  confirm_failures: number;
  confirm_checks: number;
}

/** What a new one is where nothing is said: the defaults of punctual.monitors. */
export const monitorDefaults = {
  method: 'GET',
  timeout_ms: 10_000,
  degraded_ms: null,
  keyword_present: null,
  keyword_absent: null,
  preferred_region: null,
  only_regions: null,
  confirm_failures: 2,
  confirm_checks: 3,
};

const useless: Record<MonitorKind, { fields: string[]; instead: string }> = {
  https: { fields: [], instead: '' },
  http: {
    fields: ['certificate_days'],
    instead: 'http:// shows no certificate: leave it out, or check https://',
  },
  tcp: {
    fields: [
      'method',
      'headers',
      'expected_status',
      'keyword_present',
      'keyword_absent',
      'max_redirects',
      'certificate_days',
    ],
    instead: 'tcp:// only connects: leave it out, or check http://, https:// or, for a certificate, tls://',
  },
  tls: {
    fields: ['method', 'headers', 'expected_status', 'keyword_present', 'keyword_absent', 'max_redirects'],
    instead: 'tls:// looks at the certificate only: leave it out, or check https://',
  },
};

/** What of the fields that were `said` does not go with the others of the whole. */
export function discords(said: object, whole: MonitorWhole): Omit<FieldError, 'index'>[] {
  const values = said as Record<string, unknown>;
  const faults: Omit<FieldError, 'index'>[] = [];
  /** Laid to the first of the fields that was said. */
  const fault = (fields: string[], message: string) => {
    const field = fields.find((name) => name in values);
    if (field !== undefined) faults.push({ field, message });
  };
  const { fields, instead } = useless[kindOf(whole.url)];
  for (const field of fields) if (values[field] != null) faults.push({ field, message: instead });
  if (whole.method === 'HEAD' && fields.length < 2) {
    for (const field of ['keyword_present', 'keyword_absent'] as const) {
      if (whole[field] !== null) {
        fault([field, 'method'], 'is looked for in the body, and the answer to HEAD has none: ask by GET');
      }
    }
  }
  if (whole.degraded_ms !== null && whole.degraded_ms >= whole.timeout_ms) {
    fault(
      ['degraded_ms', 'timeout_ms'],
      `degraded_ms (${whole.degraded_ms}) is never reached: a check ends at timeout_ms (${whole.timeout_ms})`,
    );
  }
  if (whole.confirm_failures > whole.confirm_checks) {
    fault(
      ['confirm_failures', 'confirm_checks'],
      `confirm_failures (${whole.confirm_failures}) of the last confirm_checks (${whole.confirm_checks}) cannot fail: make the first the smaller`,
    );
  }
  const { preferred_region: preferred, only_regions: only } = whole;
  if (preferred !== null && only !== null && !only.includes(preferred)) {
    fault(['preferred_region', 'only_regions'], `preferred_region (${preferred}) is none of only_regions`);
  }
  return faults;
}

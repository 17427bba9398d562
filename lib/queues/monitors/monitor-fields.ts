import { z } from 'zod';
import type { FieldError } from '../../http/field-error.ts';
import { atMost } from '../../http/input/at-most.ts';
import { requestHeaders } from '../../http/input/request-headers.ts';
import { nonBlankText, nonEmptyText } from '../../http/input/storable-text.ts';
import { kindOf, type MonitorKind, monitorUrl } from './monitor-url.ts';

/** The name of a region. */
export const regionName = z
  .string()
  .regex(
    /^[a-z][a-z0-9-]{0,39}$/,
    'is not a valid region name: use up to 40 lower-case letters, digits and -, and begin with a letter',
  );

const headers = requestHeaders({ sender: 'the check' });

const expectedStatus = z
  .string()
  .max(200)
  .transform((value) => value.replaceAll(' ', ''))
  .refine(
    (value) => value.split(',').every(isStatusRange),
    'is not a list of codes and ranges from 100 to 599: write for example "200-299,301"',
  );

function isStatusRange(range: string): boolean {
  const [, first, last = first] = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(range) ?? [];
  return first !== undefined && Number(first) <= Number(last);
}

const keyword = nonEmptyText(500).nullable();

/** The settings of a monitor besides its name and url. Omitted settings have the table's defaults. */
const settings = {
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']).optional(),
  headers: headers.optional(),
  expected_status: expectedStatus.optional(),
  keyword_present: keyword.optional(),
  keyword_absent: keyword.optional(),
  timeout_ms: z.int().min(100).max(30_000).optional(),
  max_redirects: z.int().min(0).max(10).optional(),
  degraded_ms: z
    .int()
    .min(1)
    .max(30_000)
    .nullable()
    .optional()
    .describe('A slower check is degraded. Null is no limit.'),
  certificate_days: z
    .int()
    .min(1)
    .max(3_650)
    .nullable()
    .optional()
    .describe('A check is degraded if the certificate expires within this many days. Null ignores the date.'),
  interval_seconds: z.int().min(10).max(86_400).optional(),
  criticality: z.enum(['critical', 'high', 'normal', 'low']).optional(),
  is_active: z.boolean().optional(),
  preferred_region: regionName.nullable().optional(),
  only_regions: atMost(50, z.array(regionName).min(1, 'is empty: name a region, or send null for all'))
    .refine((names) => new Set(names).size === names.length, 'names a region twice')
    .nullable()
    .optional()
    .describe('Null allows all regions.'),
  confirm_failures: z.int().min(1).max(10).optional(),
  confirm_checks: z.int().min(1).max(10).optional(),
};
const name = nonBlankText(200);

export const monitorInput = z.strictObject({
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

/** The fields of a monitor that must be consistent, with a change applied. */
interface CheckedFields {
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

/** The defaults of the table punctual.monitors. */
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

/** The fields that a kind of check does not use, and the message about them. */
const unusedFields: Record<MonitorKind, { fields: string[]; instead: string }> = {
  https: { fields: [], instead: '' },
  http: {
    fields: ['certificate_days'],
    instead: 'http:// has no certificate: leave this out, or check https://',
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
    instead: 'tcp:// only connects: leave this out, or check http://, https:// or, for a certificate, tls://',
  },
  tls: {
    fields: ['method', 'headers', 'expected_status', 'keyword_present', 'keyword_absent', 'max_redirects'],
    instead: 'tls:// checks only the certificate: leave this out, or check https://',
  },
};

/** Returns an error for each field of `input` that conflicts with the whole monitor. */
export function conflictingFields(input: object, whole: CheckedFields): Omit<FieldError, 'index'>[] {
  const values = input as Record<string, unknown>;
  const faults: Omit<FieldError, 'index'>[] = [];
  /** Adds a fault for the first of `fields` that the input has. */
  const fault = (fields: string[], message: string) => {
    const field = fields.find((name) => name in values);
    if (field !== undefined) faults.push({ field, message });
  };
  const { fields, instead } = unusedFields[kindOf(whole.url)];
  for (const field of fields) if (values[field] != null) faults.push({ field, message: instead });
  if (whole.method === 'HEAD' && fields.length < 2) {
    for (const field of ['keyword_present', 'keyword_absent'] as const) {
      if (whole[field] !== null) {
        fault([field, 'method'], 'needs a response body, and HEAD has none: use GET');
      }
    }
  }
  if (whole.degraded_ms !== null && whole.degraded_ms >= whole.timeout_ms) {
    fault(
      ['degraded_ms', 'timeout_ms'],
      `degraded_ms (${whole.degraded_ms}) is never reached: make it less than timeout_ms (${whole.timeout_ms})`,
    );
  }
  if (whole.confirm_failures > whole.confirm_checks) {
    fault(
      ['confirm_failures', 'confirm_checks'],
      `confirm_failures (${whole.confirm_failures}) must not be greater than confirm_checks (${whole.confirm_checks})`,
    );
  }
  const { preferred_region: preferred, only_regions: only } = whole;
  if (preferred !== null && only !== null && !only.includes(preferred)) {
    fault(
      ['preferred_region', 'only_regions'],
      `preferred_region (${preferred}) is not in only_regions: add it there, or prefer one of them`,
    );
  }
  return faults;
}

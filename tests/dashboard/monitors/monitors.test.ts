import { describe, expect, it } from 'vitest';
import { latencyInWords, latencyPhases } from '../../../app/(dashboard)/monitors/latency-phases.ts';
import { isHealthy, monitorNotes } from '../../../app/(dashboard)/monitors/monitor-notes.ts';
import { uptimeText } from '../../../components/uptime-text.ts';
import { lastCheck, monitorSummary } from './monitor-summary.ts';

const failed = lastCheck({ verdict: 'down', error: 'status 503, not 200-299', status_code: 503 });
const slow = lastCheck({ verdict: 'degraded', error: 'took 1.4 s, more than 1 s' });
const away = { home_region: 'sin1', region: 'main' };
const confirming = 'warn: a failure is being confirmed: status 503, not 200-299';

it.each<[label: string, changes: Parameters<typeof monitorSummary>[0], note: string | null]>([
  ['is up', {}, null],
  ['is down', { state: 'down', last: failed }, 'bad: status 503, not 200-299'],
  ['is down without a reason', { state: 'down', last: { ...failed, error: null } }, 'bad: down'],
  ['is degraded', { state: 'degraded', last: slow }, 'warn: took 1.4 s, more than 1 s'],
  ['failed, which is being confirmed', { suspect: true, last: failed, region: 'fra1' }, confirming],
  ['failed and was never up', { suspect: true, state: null, last: failed }, confirming],
  ['may have recovered', { state: 'down' }, 'wait: a recovery is being confirmed'],
  ['was not checked yet', { state: null, last: null }, 'wait: not checked yet'],
  [
    'is not active',
    { is_active: false, state: null, last: failed },
    'wait: not checked until you activate it',
  ],
  ['is checked by another region', away, 'warn: checked from main, because sin1 cannot check it'],
  // All regions check it in turn.
  ['may have recovered, elsewhere', { ...away, state: 'down' }, 'wait: a recovery is being confirmed'],
])('the notes on a monitor that %s say so', (_label, changes, note) => {
  const monitor = monitorSummary(changes);
  expect(monitorNotes(monitor).map(({ tone, text }) => `${tone}: ${text}`)).toEqual(note ? [note] : []);
  expect(isHealthy(monitor)).toBe(note === null);
});

describe('the latency of a check', () => {
  it('is split into the known phases, with the rest as the body', () => {
    const phases = latencyPhases(lastCheck()).map(({ phase, ms }) => `${phase} ${ms}`);
    expect(phases).toEqual(['dns 2', 'connect 8', 'tls 30', 'first byte 70', 'body 10']);
  });

  const silent = { total_ms: 2_000, dns_ms: null, connect_ms: 5, tls_ms: null, first_byte_ms: null };
  const unknown = { dns_ms: null, connect_ms: null, tls_ms: null, first_byte_ms: null };
  it.each<[label: string, changes: Parameters<typeof lastCheck>[0], words: string]>([
    [
      'without TLS and DNS',
      { tls_ms: null, dns_ms: 0 },
      '120 ms: connect 8 ms, first byte 70 ms, body 42 ms',
    ],
    ['that ended without a response', { ...silent, verdict: 'down' }, '2.0 s: connect 5 ms, rest 2.0 s'],
    ['that expects no response, as of tcp://', { ...silent, verdict: 'up' }, '2.0 s: connect 5 ms'],
    ['whose phases are unknown', unknown, '120 ms'],
  ])('%s is shown in words', (_label, changes, words) => {
    expect(latencyInWords(lastCheck(changes))).toBe(words);
  });
});

it.each([
  [1, '100 %'],
  [0.99999, '99.99 %'],
  [0.9999, '99.99 %'],
  [0.9, '90 %'],
  [0, '0 %'],
  [null, '–'],
])('uptimeText never rounds %d up and shows %s', (share, text) => {
  expect(uptimeText(share)).toBe(text);
});

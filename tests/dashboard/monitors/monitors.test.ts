import { describe, expect, it } from 'vitest';
import { latencyInWords, latencyPhases } from '../../../app/(dashboard)/monitors/latency-phases.ts';
import { isHealthy, monitorNotes } from '../../../app/(dashboard)/monitors/monitor-notes.ts';
import { uptimeText } from '../../../components/uptime-text.ts';
import { lastCheck, monitorSummary } from './monitor-summary.ts';

const notes = (changes: Parameters<typeof monitorSummary>[0]) =>
  monitorNotes(monitorSummary(changes)).map(({ tone, text }) => `${tone}: ${text}`);
const failed = lastCheck({ verdict: 'down', error: 'status 503, not 200-299', status_code: 503 });

describe('what is said of a monitor', () => {
  it('is nothing while it is up and its last check was good', () => {
    expect(notes({})).toEqual([]);
    expect(isHealthy(monitorSummary())).toBe(true);
  });

  it('is why it is down or degraded', () => {
    expect(notes({ state: 'down', last: failed })).toEqual(['bad: status 503, not 200-299']);
    const slow = lastCheck({ verdict: 'degraded', error: 'took 1.4 s, more than 1 s' });
    expect(notes({ state: 'degraded', last: slow })).toEqual(['warn: took 1.4 s, more than 1 s']);
    expect(notes({ state: 'down', last: { ...failed, error: null } })).toEqual(['bad: down']);
  });

  it('is that a failure is being confirmed, also of one that was never seen up', () => {
    const text = 'warn: a failure is being confirmed: status 503, not 200-299';
    expect(notes({ suspect: true, last: failed, region: 'fra1' })).toEqual([text]);
    expect(notes({ suspect: true, state: null, last: failed })).toEqual([text]);
  });

  it('is that a good check is being confirmed, where it is not called up yet', () => {
    expect(notes({ state: 'down' })).toEqual(['wait: a recovery is being confirmed']);
  });

  it('is that it is not, or not yet, checked', () => {
    expect(notes({ state: null, last: null })).toEqual(['wait: not checked yet']);
    expect(notes({ is_active: false, state: null, last: failed })).toEqual([
      'wait: not checked until you activate it',
    ]);
  });

  it('is that another region stands in for its own', () => {
    const away = { home_region: 'sin1', region: 'main' };
    expect(notes(away)).toEqual(['warn: checked from main, because sin1 cannot check it']);
    expect(notes({ ...away, state: 'down' })).toEqual(['wait: a recovery is being confirmed']);
    expect(isHealthy(monitorSummary(away))).toBe(false);
  });
});

describe('the time of a check', () => {
  it('is split into what is known, and the body for the rest', () => {
    expect(latencyPhases(lastCheck()).map(({ phase, ms }) => `${phase} ${ms}`)).toEqual([
      'dns 2',
      'connect 8',
      'tls 30',
      'first byte 70',
      'body 10',
    ]);
    expect(latencyInWords(lastCheck({ tls_ms: null, dns_ms: 0 }))).toBe(
      '120 ms: connect 8 ms, first byte 70 ms, body 42 ms',
    );
  });

  it('says what was left when it ended without an answer', () => {
    const silent = { total_ms: 2_000, dns_ms: null, connect_ms: 5, tls_ms: null, first_byte_ms: null };
    const told = (verdict: 'up' | 'down') => latencyInWords(lastCheck({ ...silent, verdict }));
    expect(told('down')).toBe('2.0 s: connect 5 ms, rest 2.0 s');
    // As of tcp://, where there is none to come.
    expect(told('up')).toBe('2.0 s: connect 5 ms');
  });

  it('is one figure where nothing is known of its parts', () => {
    const last = lastCheck({ dns_ms: null, connect_ms: null, tls_ms: null, first_byte_ms: null });
    expect(latencyInWords(last)).toBe('120 ms');
  });
});

it.each([
  [1, '100 %'],
  [0.99999, '99.99 %'],
  [0.9999, '99.99 %'],
  [0.9, '90 %'],
  [0, '0 %'],
  [null, '–'],
])('an uptime of %d is never rounded up: %s', (share, text) => {
  expect(uptimeText(share)).toBe(text);
});

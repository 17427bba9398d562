import { describe, expect, it } from 'vitest';
import { latencyInWords, latencyPhases } from '../../../app/(dashboard)/monitors/latency-phases.ts';
import { isHealthy, monitorNotes } from '../../../app/(dashboard)/monitors/monitor-notes.ts';
import { uptimeText } from '../../../components/uptime-text.ts';
import { lastCheck, monitorSummary } from './monitor-summary.ts';

const notes = (changes: Parameters<typeof monitorSummary>[0]) =>
  monitorNotes(monitorSummary(changes)).map(({ tone, text }) => `${tone}: ${text}`);
const failed = lastCheck({ verdict: 'down', error: 'status 503, not 200-299', status_code: 503 });

describe('the notes on a monitor', () => {
  it('are empty while it is up and its last check succeeded', () => {
    expect(notes({})).toEqual([]);
    expect(isHealthy(monitorSummary())).toBe(true);
  });

  it('give the reason why it is down or degraded', () => {
    expect(notes({ state: 'down', last: failed })).toEqual(['bad: status 503, not 200-299']);
    const slow = lastCheck({ verdict: 'degraded', error: 'took 1.4 s, more than 1 s' });
    expect(notes({ state: 'degraded', last: slow })).toEqual(['warn: took 1.4 s, more than 1 s']);
    expect(notes({ state: 'down', last: { ...failed, error: null } })).toEqual(['bad: down']);
  });

  it('say that a failure is being confirmed, also if the monitor was never up', () => {
    const text = 'warn: a failure is being confirmed: status 503, not 200-299';
    expect(notes({ suspect: true, last: failed, region: 'fra1' })).toEqual([text]);
    expect(notes({ suspect: true, state: null, last: failed })).toEqual([text]);
  });

  it('say that a recovery is being confirmed after a first good check', () => {
    expect(notes({ state: 'down' })).toEqual(['wait: a recovery is being confirmed']);
  });

  it('say that it is not checked, or not checked yet', () => {
    expect(notes({ state: null, last: null })).toEqual(['wait: not checked yet']);
    expect(notes({ is_active: false, state: null, last: failed })).toEqual([
      'wait: not checked until you activate it',
    ]);
  });

  it('say that another region stands in for its own', () => {
    const away = { home_region: 'sin1', region: 'main' };
    expect(notes(away)).toEqual(['warn: checked from main, because sin1 cannot check it']);
    expect(notes({ ...away, state: 'down' })).toEqual(['wait: a recovery is being confirmed']);
    expect(isHealthy(monitorSummary(away))).toBe(false);
  });
});

describe('the latency of a check', () => {
  it('is split into the known phases, with the rest as the body', () => {
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

  it('has a rest if the check ended without a response', () => {
    const silent = { total_ms: 2_000, dns_ms: null, connect_ms: 5, tls_ms: null, first_byte_ms: null };
    const words = (verdict: 'up' | 'down') => latencyInWords(lastCheck({ ...silent, verdict }));
    expect(words('down')).toBe('2.0 s: connect 5 ms, rest 2.0 s');
    // A tcp:// monitor expects no response.
    expect(words('up')).toBe('2.0 s: connect 5 ms');
  });

  it('is one figure if no phase is known', () => {
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
])('uptimeText never rounds %d up and shows %s', (share, text) => {
  expect(uptimeText(share)).toBe(text);
});

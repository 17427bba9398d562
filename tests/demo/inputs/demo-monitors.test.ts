import { describe, expect, it } from 'vitest';
import { monitorInput } from '@/lib/queues/monitors/monitor-fields.ts';
import { Sites } from '@/sandbox/sites.ts';
import { demoMonitors, isLeftOver } from '@/scripts/demo/inputs/demo-monitors.ts';

const sandbox = 'http://127.0.0.1:4010';
const monitors = demoMonitors(sandbox);
const behaviours = monitors.map(({ url }) => /\/sites\/(\w+)/.exec(url)?.[1] ?? 'tcp');
const count = (behaviour: string) => behaviours.filter((one) => one === behaviour).length;

describe('the monitors of the demo', () => {
  it('are 40 that the API accepts, each with its own name, address and key', () => {
    expect(monitors).toHaveLength(40);
    for (const monitor of monitors)
      expect(monitorInput.safeParse(monitor).error, monitor.name).toBeUndefined();
    for (const field of ['name', 'idempotency_key'] as const)
      expect(new Set(monitors.map((monitor) => monitor[field])).size).toBe(40);
    expect(new Set(monitors.map(({ url }) => url)).size).toBe(40 - count('tcp') + 1);
  });

  it('are mostly up; some are slow, some down in different ways, one flaps, one recovers and two hang', () => {
    expect(count('ok') + count('moved') + count('tcp')).toBe(28);
    expect(count('moved')).toBeGreaterThan(0);
    expect(count('tcp')).toBeGreaterThan(0);
    expect(count('slow')).toBe(4);
    for (const one of ['down', 'gone', 'closed', 'loop', 'flapping', 'recovering', 'silent', 'drip'])
      expect(count(one), one).toBe(1);
  });

  it('watch only sites that the sandbox has', () => {
    const sites = new Sites();
    for (const { url } of monitors)
      if (url.startsWith('http')) expect(sites.behaviourOf(new URL(url).pathname), url).not.toBeNull();
  });

  it('are the same when the demo starts again, and have other keys with another sandbox', () => {
    expect(demoMonitors(sandbox)).toEqual(monitors);
    const others = demoMonitors('http://127.0.0.1:4011').map((monitor) => monitor.idempotency_key);
    expect(monitors.filter((monitor) => others.includes(monitor.idempotency_key))).toEqual([]);
  });

  it('time out within a tick if the site hangs, and are degraded before they time out', () => {
    for (const { timeout_ms = 10_000, degraded_ms = 0 } of monitors)
      expect(degraded_ms).toBeLessThan(timeout_ms);
    const hanging = monitors.filter(({ url }) => /silent|drip/.test(url));
    expect(hanging.map(({ timeout_ms }) => timeout_ms)).toEqual([2_000, 2_000]);
  });
});

it('isLeftOver recognises only monitors of an earlier demo on another port', () => {
  const [web, tcp] = ['http://127.0.0.1:4011/sites/ok/shop', 'tcp://127.0.0.1:4011'];
  expect([web, tcp].map((url) => isLeftOver({ url }, sandbox))).toEqual([true, true]);
  const kept = [...monitors, { url: 'https://example.com/' }, { url: 'tls://example.com' }];
  expect(kept.filter((monitor) => isLeftOver(monitor, sandbox))).toEqual([]);
});

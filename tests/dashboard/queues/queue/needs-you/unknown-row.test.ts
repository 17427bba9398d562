import { createElement } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { afterAll, expect, it, vi } from 'vitest';
import { UnknownRow } from '../../../../../app/(dashboard)/queues/[queue]/needs-you/unknown-row.tsx';
import { ServerNow } from '../../../../../components/time/server-now.tsx';
import { ago, now, nowMs, queueStats } from '../../../queue-stats.ts';

vi.mock('next/navigation', async (original) =>
  (await import('../../../../support/page-headers.ts')).nextNavigation(original),
);
vi.useFakeTimers({ now: nowMs });
afterAll(() => void vi.useRealTimers());

const reconcile = {
  checks: 1,
  checked_at: ago(60),
  next_check_at: ago(-60),
  found: 'WhatsApp cannot be queried, and no webhook has reported the message yet',
  waits_for_operator: false,
};

function render(changes: Partial<Record<keyof typeof reconcile, unknown>> = {}): string {
  const about = { ...reconcile, ...changes } as typeof reconcile;
  const empty = { due_at: null, last_error: null, account: null, row: {} };
  const row = { ...empty, id: '7', status: 'unknown', attempts: 1, finished_at: ago(180), reconcile: about };
  const item = createElement(UnknownRow, { queue: queueStats(), row, path: '/api/dms', mayAct: false });
  const html = renderToStaticMarkup(createElement(() => ServerNow({ readAt: now, children: item })));
  return html.replaceAll(/<[^>]*>/g, ' ').replaceAll(/\s+/g, ' ');
}

it('an unknown row shows how long it has been unknown, when the next check is and how many checks there were', () => {
  expect(render()).toContain('unknown for 3 min');
  expect(render()).toMatch(/Next check in 1 min ?\. Checked once, last 1 min ago ?\./);
});

it('an unknown row that cannot be checked waits for a decision and mentions no check', () => {
  const text = render({ checks: 0, checked_at: null, waits_for_operator: true });
  expect(text).toContain('It waits for your decision.');
  expect(text).not.toMatch(/check/i);
});

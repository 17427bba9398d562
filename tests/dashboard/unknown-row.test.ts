import { createElement } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { expect, it } from 'vitest';
import { ServerNow } from '../../app/dashboard/server-now';
import { UnknownRow } from '../../app/dashboard/unknown-row';
import { ago, now, queueStats } from './queue-stats';

it('an unknown row says for how long it is unknown, when it is checked next and how often it was', () => {
  const reconcile = {
    looks: 1,
    looked_at: ago(60),
    next_look_at: ago(-60),
    found: 'WhatsApp cannot be asked, and no webhook has told of it yet',
    waits_for_operator: false,
  };
  const nothing = { due_at: null, last_error: null, account: null, row: {} };
  const row = { ...nothing, id: '7', status: 'unknown', attempts: 1, finished_at: ago(180), reconcile };
  const shown = createElement(UnknownRow, { queue: queueStats(), row, path: '/api/dms', onDecided: null });
  const html = renderToStaticMarkup(createElement(() => ServerNow({ reading: now, children: shown })));
  const text = html.replaceAll(/<[^>]*>/g, ' ').replaceAll(/\s+/g, ' ');
  expect(text).toContain('unknown for 3 min');
  expect(text).toMatch(/It is checked in 1 min ?\. Checked once, last 1 min ago ?\./);
});

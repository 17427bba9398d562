import { createElement } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, it, vi } from 'vitest';
import { RefusedList } from '../../../../../app/(dashboard)/queues/[queue]/needs-you/refused-list.tsx';

const refused = [
  { provider: 'unipile', account: 'a1', name: 'Ada', said: 'restricted', until: null },
  { provider: 'whatsapp_cloud', account: null, name: null, said: 'wrong token', until: null },
];

vi.mock('next/navigation', async (original) =>
  (await import('../../../../support/page-headers.ts')).nextNavigation(original),
);

function render(mayAct: boolean): string {
  const html = renderToStaticMarkup(
    createElement(RefusedList, { refused, address: 'https://your.app', mayAct }),
  );
  return html.replaceAll('&quot;', '"').replaceAll('&#x27;', "'");
}

describe('RefusedList', () => {
  it('offers a button to an operator and a command to a reader to try a refused account again', () => {
    const command = 'curl -X POST https://your.app/api/refusals/end -H "Authorization: Bearer $API_KEY"';
    expect(render(true).match(/Try now/g)).toHaveLength(2);
    expect(render(true)).not.toContain('curl');
    expect(render(false)).not.toContain('Try now');
    expect(render(false).split(command)).toHaveLength(3);
    expect(render(false)).toContain(`-d '{"provider":"unipile","account":"a1"}'`);
    expect(render(false)).toContain(`-d '{"provider":"whatsapp_cloud","account":null}'`);
  });
});

import { createElement } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, it } from 'vitest';
import { RefusedList } from '../../../../app/(dashboard)/queue/needs-you/refused-list.tsx';

const refused = [
  { provider: 'unipile', account: 'a1', name: 'Ada', said: 'restricted', until: null },
  { provider: 'whatsapp_cloud', account: null, name: null, said: 'wrong token', until: null },
];

function render(onEnded: (() => void) | null): string {
  const html = renderToStaticMarkup(
    createElement(RefusedList, { refused, address: 'https://your.app', onEnded }),
  );
  return html.replaceAll('&quot;', '"').replaceAll('&#x27;', "'");
}

describe('RefusedList', () => {
  it('offers a button to an operator and a command to a reader to try a refused account again', () => {
    const command = 'curl -X POST https://your.app/api/refusals/end -H "Authorization: Bearer $API_KEY"';
    expect(render(() => {}).match(/Try now/g)).toHaveLength(2);
    expect(render(() => {})).not.toContain('curl');
    expect(render(null)).not.toContain('Try now');
    expect(render(null).split(command)).toHaveLength(3);
    expect(render(null)).toContain(`-d '{"provider":"unipile","account":"a1"}'`);
    expect(render(null)).toContain(`-d '{"provider":"whatsapp_cloud","account":null}'`);
  });
});

import { createElement } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, it } from 'vitest';
import { RefusedList } from '../../../../app/(dashboard)/queue/needs-you/refused-list.tsx';

const refused = [
  { provider: 'unipile', account: 'a1', name: 'Ada', said: 'restricted', until: null },
  { provider: 'whatsapp_cloud', account: null, name: null, said: 'wrong token', until: null },
];

function shown(onEnded: (() => void) | null): string {
  const html = renderToStaticMarkup(
    createElement(RefusedList, { refused, address: 'https://your.app', onEnded }),
  );
  return html.replaceAll('&quot;', '"').replaceAll('&#x27;', "'");
}

describe('what is refused', () => {
  it('is tried again by a button for who may press it, and by a command for who may only look', () => {
    const command = 'curl -X POST https://your.app/api/refusals/end -H "Authorization: Bearer $API_KEY"';
    expect(shown(() => {}).match(/Try now/g)).toHaveLength(2);
    expect(shown(() => {})).not.toContain('curl');
    expect(shown(null)).not.toContain('Try now');
    expect(shown(null).split(command)).toHaveLength(3);
    expect(shown(null)).toContain(`-d '{"provider":"unipile","account":"a1"}'`);
    expect(shown(null)).toContain(`-d '{"provider":"whatsapp_cloud","account":null}'`);
  });
});

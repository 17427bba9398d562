import { createElement } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { expect, it } from 'vitest';
import { TableNotes } from '../../../../app/(dashboard)/queues/[queue]/table-notes.tsx';

const setup = {
  table: 'public.trials',
  added: ['status', 'attempts'],
  changes: ['priority has a check from now on'],
  notes: ['the trigger "a" runs in ticks'],
  row_level_security: false,
  anon: ['select', 'insert'],
};
const render = (changes: Partial<typeof setup> = {}) =>
  renderToStaticMarkup(createElement(TableNotes, { setup: { ...setup, ...changes } }));

it('TableNotes lists the additions, changes and findings of add_queue', () => {
  for (const text of ['columns added: status, attempts', 'priority has a check', 'runs in ticks']) {
    expect(render()).toContain(text);
  }
});

it('TableNotes warns if the public key opens the table, and names the statement that closes it', () => {
  expect(render()).toContain('may select, insert there');
  expect(render()).toContain('alter table public.trials enable row level security');
  expect(render({ row_level_security: true })).not.toContain('public key');
  expect(render({ anon: [] })).not.toContain('public key');
});

import { createElement } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { expect, it } from 'vitest';
import { TableNotes } from '../../../app/(dashboard)/queue/table-notes.tsx';

const setup = {
  table: 'public.trials',
  added: ['status', 'attempts'],
  changes: ['priority has a check from now on'],
  notes: ['the trigger "a" runs in ticks'],
  row_level_security: false,
  anon: ['select', 'insert'],
};
const shown = (changes: Partial<typeof setup> = {}) =>
  renderToStaticMarkup(createElement(TableNotes, { setup: { ...setup, ...changes } }));

it('lists what add_queue added, changed and found', () => {
  for (const text of ['columns added: status, attempts', 'priority has a check', 'runs in ticks']) {
    expect(shown()).toContain(text);
  }
});

it('warns of a table that the public key opens, and says how to close it', () => {
  expect(shown()).toContain('may select, insert there');
  expect(shown()).toContain('alter table public.trials enable row level security');
  expect(shown({ row_level_security: true })).not.toContain('public key');
  expect(shown({ anon: [] })).not.toContain('public key');
});

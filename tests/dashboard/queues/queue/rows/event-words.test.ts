import { expect, it } from 'vitest';
import { actionIds, byWords } from '../../../../../app/(dashboard)/queues/[queue]/rows/[id]/event-words.ts';

it('says who changed a row: a person by name, a machine only where the event does not say it', () => {
  expect(['Mira', 'tick', 'attempt', null].map(byWords)).toEqual(['by Mira', 'by a tick', null, null]);
});

it('finds the actions that events name, each once', () => {
  const texts = [
    'Mira had it tried again (action 7): note',
    null,
    'Mira cancelled it (action 9)',
    'Ola (action 7)',
  ];
  expect(actionIds(texts.map((text) => ({ event: 'action', text })))).toEqual(['7', '9']);
});

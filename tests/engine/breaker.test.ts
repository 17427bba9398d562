import { describe, expect, it } from 'vitest';
import { Breaker } from '../../lib/engine/breaker.ts';

describe('a provider', () => {
  it('rests after five failures in a row, and not after four with an answer between', () => {
    const breaker = new Breaker();
    for (let n = 0; n < 4; n++) breaker.failed('unipile', 'down');
    breaker.answered('unipile');
    for (let n = 0; n < 4; n++) breaker.failed('unipile', 'down');
    expect(breaker.isOpen('unipile')).toBe(false);
    breaker.failed('unipile', 'still down');
    expect(breaker.isOpen('unipile')).toBe(true);
    expect(breaker.isOpen('whatsapp_cloud')).toBe(false);
    expect(breaker.takeNotes()).toEqual([{ name: 'unipile', ok: false, error: 'still down' }]);
  });

  it('that failed before rests again after one failure', () => {
    const breaker = new Breaker();
    breaker.setProbing(['unipile']);
    breaker.failed('unipile', 'down again');
    expect(breaker.isOpen('unipile')).toBe(true);
    expect(breaker.takeNotes()).toEqual([{ name: 'unipile', ok: false, error: 'down again' }]);
  });

  it('that refuses our set-up rests at once, and each call that met it counts', () => {
    const breaker = new Breaker();
    breaker.setProbing(['unipile']);
    breaker.refused('unipile', 'wrong key');
    breaker.refused('unipile', 'wrong key');
    breaker.answered('unipile');
    expect(breaker.isOpen('unipile')).toBe(true);
    expect(breaker.takeNotes()).toEqual([{ name: 'unipile', ok: false, error: 'wrong key', refused: 2 }]);
  });

  it('that failed before is believed again after one answer', () => {
    const breaker = new Breaker();
    breaker.setProbing(['unipile']);
    breaker.answered('unipile');
    expect(breaker.takeNotes()).toEqual([{ name: 'unipile', ok: true }]);
    breaker.failed('unipile', 'down');
    expect(breaker.isOpen('unipile')).toBe(false);
  });
});

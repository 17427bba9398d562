import { describe, expect, it } from 'vitest';
import { Breaker } from '../../lib/engine/breaker.ts';

describe('a provider', () => {
  it('pauses after five failures in a row, and a response in between restarts the count', () => {
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

  it('pauses again after one failure while it is tested', () => {
    const breaker = new Breaker();
    breaker.setProbing(['unipile']);
    breaker.failed('unipile', 'down again');
    expect(breaker.isOpen('unipile')).toBe(true);
    expect(breaker.takeNotes()).toEqual([{ name: 'unipile', ok: false, error: 'down again' }]);
  });

  it('pauses at once when it refuses our setup, and every refused call counts', () => {
    const breaker = new Breaker();
    breaker.setProbing(['unipile']);
    breaker.refused('unipile', 'wrong key');
    breaker.refused('unipile', 'wrong key');
    breaker.answered('unipile');
    expect(breaker.isOpen('unipile')).toBe(true);
    expect(breaker.takeNotes()).toEqual([{ name: 'unipile', ok: false, error: 'wrong key', refused: 2 }]);
  });

  it('resumes after one response while it is tested', () => {
    const breaker = new Breaker();
    breaker.setProbing(['unipile']);
    breaker.answered('unipile');
    expect(breaker.takeNotes()).toEqual([{ name: 'unipile', ok: true }]);
    breaker.failed('unipile', 'down');
    expect(breaker.isOpen('unipile')).toBe(false);
  });
});

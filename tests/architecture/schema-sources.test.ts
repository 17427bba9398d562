import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findSourceFaults } from '../../scripts/schema/sources.ts';

describe('the sources of the schema', () => {
  it('are each in order.json once, and have fewer than 400 lines', () => {
    expect(findSourceFaults(fileURLToPath(new URL('../..', import.meta.url)))).toEqual([]);
  });

  it('have a fault if one is unlisted, missing, listed twice or too long', () => {
    const root = mkdtempSync(path.join(tmpdir(), 'punctual-sources-'));
    onTestFinished(() => rmSync(root, { recursive: true, force: true }));
    const schemas = path.join(root, 'supabase/schemas');
    mkdirSync(path.join(schemas, 'things'), { recursive: true });
    writeFileSync(path.join(schemas, 'things/long.sql'), '-- line\n'.repeat(400));
    writeFileSync(path.join(schemas, 'things/short.sql'), '-- line\n'.repeat(399));
    const order = ['things/short.sql', 'things/short.sql', 'things/gone.sql'];
    writeFileSync(path.join(schemas, 'order.json'), JSON.stringify(order));
    expect(findSourceFaults(root)).toEqual([
      expect.stringContaining('things/long.sql is not in'),
      expect.stringContaining('things/gone.sql does not exist'),
      expect.stringContaining('things/short.sql is listed twice'),
      expect.stringContaining('things/long.sql has 400 lines'),
    ]);
  });
});

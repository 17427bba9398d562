import { describe, expect, it } from 'vitest';
import { readPackageMigrations } from '@/lib/cli/project/package-files.ts';
import { upgrade } from '@/lib/cli/upgrade.ts';
import { makeApp, readTree, terminalIn } from './cli-bench.ts';

const [oldest, ...later] = readPackageMigrations();
const own = 'supabase/migrations/20991231000000_own.sql';

describe('npx punctual upgrade', () => {
  it('adds the migrations that the folder lacks, and changes nothing the second time', async () => {
    // A file that somebody renamed is still that version.
    const folder = makeApp({
      [`supabase/migrations/${oldest?.version}_renamed.sql`]: oldest?.text ?? '',
      [own]: 'select 1;',
    });
    const before = readTree(folder);
    const first = terminalIn(folder);
    expect(await upgrade(['--yes'], first.terminal)).toBe(0);
    const after = readTree(folder);
    const added = Object.keys(after).filter((file) => !(file in before));
    expect(added).toEqual(later.map(({ file }) => `supabase/migrations/${file}`));
    for (const { file, text } of later) expect(after[`supabase/migrations/${file}`]).toBe(text);
    expect(first.printed()).toMatch(/Next: .*npx punctual migrate[\s\S]*--include-all/);

    const second = terminalIn(folder);
    expect(await upgrade([], second.terminal)).toBe(0);
    expect(second.printed()).toContain('Nothing to add');
    expect(readTree(folder)).toEqual(after);
  });

  it('sends an app without Punctual to init', async () => {
    const folder = makeApp({ [own]: 'select 1;' });
    await expect(upgrade(['--yes'], terminalIn(folder).terminal)).rejects.toThrow('Run: npx punctual init');
  });
});

import { expect, it } from 'vitest';
import { reviewAndWrite } from '@/lib/cli/changes.ts';
import { makeApp, readIn, readTree, terminalIn, writeIn } from './cli-bench.ts';

const change = { file: 'a/new.txt', before: null, after: 'new\n' };

it('writes nothing if a file changed while the person read the diff', async () => {
  const folder = makeApp({ 'a/old.txt': 'old\n' });
  const { terminal } = terminalIn(folder, { answers: ['y'] });
  const slow = {
    ...terminal,
    ask: async () => {
      writeIn(folder, 'a/old.txt', 'saved meanwhile\n');
      return 'y';
    },
  };
  const changes = [change, { file: 'a/old.txt', before: 'old\n', after: 'ours\n' }];
  await expect(reviewAndWrite(slow, changes, false)).rejects.toThrow('a/old.txt changed meanwhile');
  expect(readIn(folder, 'a/old.txt')).toBe('saved meanwhile\n');
  expect(Object.keys(readTree(folder))).not.toContain('a/new.txt');
});

it('shows no secret of a file that it adds to, and no file that nobody reads in a terminal', async () => {
  const folder = makeApp({ '.env.local': 'TOKEN=mine\n' });
  const { terminal, printed } = terminalIn(folder);
  const secret = {
    file: '.env.local',
    before: 'TOKEN=mine\n',
    after: 'TOKEN=mine\n\nCRON_SECRET=random\n',
    isSecret: true,
  };
  await reviewAndWrite(terminal, [secret, { ...change, summary: '11,000 lines' }], true);
  expect(printed()).toContain('+CRON_SECRET=…');
  expect(printed()).toContain('+ a/new.txt: 11,000 lines');
  expect(printed()).not.toMatch(/mine|random|\+new/);
});

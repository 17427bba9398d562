import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { sandboxBench, sendText } from './sandbox-bench.ts';

const { start, listen } = sandboxBench();

describe('the sandbox as a process', () => {
  function runIn(env: Record<string, string>, ...args: string[]) {
    const child = spawn(process.execPath, ['--import', 'tsx', 'lib/sandbox/main.ts', ...args], {
      stdio: 'pipe',
      env: { ...process.env, WHATSAPP_APP_SECRET: '', UNIPILE_WEBHOOK_SECRET: '', ...env },
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    return child;
  }
  const run = (...args: string[]) => runIn({}, ...args);
  const firstOf = async (stream: ChildProcess['stdout']) => String((await once(stream as never, 'data'))[0]);
  async function end(child: ChildProcess): Promise<void> {
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  }

  it('prints its address, complains if the port is in use, and exits on SIGTERM', async () => {
    const busy = run('--port', new URL((await start()).url).port);
    const child = run('--port', '0', '--quiet', '--latency', '1-2', '--seed', '9');
    const [complaint, printed] = await Promise.all([firstOf(busy.stderr), firstOf(child.stdout)]);
    expect(complaint).toMatch(/^Port \d+ is in use/);
    const url = /^sandbox listening on (http:\/\/127\.0\.0\.1:\d+)\n/.exec(printed)?.[1];
    const keys = ['UNIPILE_API_KEY=sandbox-key', 'WHATSAPP_ACCESS_TOKEN=sandbox-token'];
    for (const setting of [`UNIPILE_DSN=${url}`, ...keys]) expect(printed).toContain(`\n${setting}\n`);
    expect(await (await fetch(`${url}/`)).text()).toContain('sandbox');
    await end(child);
  });

  it('sends webhooks with the secrets of its environment, and does not start without a secret or with invalid options', async () => {
    const withoutSecret = run('--port', '0', '--unipile-webhook', 'http://127.0.0.1:9/');
    const badAddress = runIn({ WHATSAPP_APP_SECRET: 's' }, '--port', '0', '--whatsapp-webhook', 'nowhere');
    const badShares = run('--port', '0', '--people', '0.7,0.7');
    const { calls, url } = await listen(200);
    const flags = ['--port', '0', '--latency', '0-1', '--unipile-webhook', url];
    const people = ['--people', '0.5,0.5', '--answer-after', '1-2', '--answered', 'acc1', '--steady', 'acc1'];
    const child = runIn({ UNIPILE_WEBHOOK_SECRET: 'u' }, ...flags, ...people);
    const [noSecret, noAddress, noShares, printed] = await Promise.all([
      firstOf(withoutSecret.stderr),
      firstOf(badAddress.stderr),
      firstOf(badShares.stderr),
      firstOf(child.stdout),
    ]);
    expect(noSecret).toContain('UNIPILE_WEBHOOK_SECRET');
    expect(noAddress).toContain('--whatsapp-webhook must be an address');
    expect(noShares).toContain('--people must add up to 1 at most');
    const address = /http:\S+/.exec(printed)?.[0] ?? '';
    // With the default fault rates at least one of these is delivered.
    for (let n = 0; n < 5; n += 1) await sendText({ url: address }, `text ${n}`);
    for (const words of ['"message":"text ', '"is_sender":false'])
      await expect.poll(() => calls.some(({ raw }) => raw.includes(words))).toBe(true);
    expect(new Set(calls.map(({ headers }) => headers['unipile-auth']))).toEqual(new Set(['u']));
    await end(child);
  });
});

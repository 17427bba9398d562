import { afterEach, describe, expect, it } from 'vitest';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../sandbox/sandbox.ts';

const open: Sandbox[] = [];
afterEach(async () => {
  for (const sandbox of open.splice(0)) await sandbox.close();
});
async function start(options?: SandboxOptions): Promise<Sandbox> {
  const sandbox = await startSandbox(options);
  open.push(sandbox);
  return sandbox;
}

const headers = { 'x-api-key': 'sandbox-key' };

/** Publishes a post. Returns the status, or null if the connection was lost. */
async function publish(sandbox: Sandbox, text: string, files: Blob[] = [], account = 'acc1') {
  const body = new FormData();
  body.append('account_id', account);
  body.append('text', text);
  for (const [index, file] of files.entries()) body.append('attachments', file, `file-${index}`);
  return fetch(`${sandbox.url}/api/v1/posts`, { method: 'POST', body, headers }).then(
    (response) => response.status,
    () => null,
  );
}
const request = (sandbox: Sandbox, path: string) => fetch(`${sandbox.url}/api/v1${path}`, { headers });
const png = new Blob([new Uint8Array(8)], { type: 'image/png' });

describe('a post', () => {
  it('is logged as a post with its number of media and appears in no chat', async () => {
    const sandbox = await start();
    expect(await publish(sandbox, 'hello', [png, png])).toBe(201);
    const [delivery] = await (await fetch(`${sandbox.url}/deliveries`)).json();
    expect(delivery).toMatchObject({
      kind: 'post',
      account: 'acc1',
      recipient: 'profile',
      text: 'hello',
      media: 2,
    });
    expect((await request(sandbox, '/chat_attendees/profile/chats?account_id=acc1')).status).toBe(404);
  });

  it('differs in kind from a message in the log', async () => {
    const sandbox = await start();
    const body = new FormData();
    body.append('text', 'a message');
    await fetch(`${sandbox.url}/api/v1/chats/acc1__ada/messages`, { method: 'POST', body, headers });
    expect(sandbox.deliveries()).toMatchObject([{ kind: 'message', text: 'a message' }]);
  });

  it('is listed only to its own account, newest first and page by page', async () => {
    const sandbox = await start();
    for (const text of ['a', 'b', 'c']) await publish(sandbox, text);
    await publish(sandbox, 'elsewhere', [], 'acc2');
    const me = await (await request(sandbox, '/users/me?account_id=acc1')).json();
    const path = `/users/${me.provider_id}/posts?account_id=acc1&limit=2`;
    const first = await (await request(sandbox, path)).json();
    expect(first.items.map(({ text }: { text: string }) => text)).toEqual(['c', 'b']);
    const second = await (await request(sandbox, `${path}&cursor=${first.cursor}`)).json();
    expect(second).toMatchObject({ object: 'PostList', items: [{ text: 'a' }], cursor: null });
    expect((await request(sandbox, path.replace('acc1&', 'acc2&'))).status).toBe(404);
  });

  it('is found by each of its own ids, and only through its own account', async () => {
    const sandbox = await start();
    await publish(sandbox, 'hello');
    const id = sandbox.deliveries()[0]?.id ?? '';
    const number = id.replace('urn:li:activity:', '');
    const share = String(BigInt(number) + 1n);
    for (const name of [id, number, share, `urn:li:share:${share}`]) {
      const response = await request(sandbox, `/posts/${encodeURIComponent(name)}?account_id=acc1`);
      expect(await response.json()).toMatchObject({ social_id: id, text: 'hello' });
    }
    expect((await request(sandbox, '/posts/1?account_id=acc1')).status).toBe(404);
    expect((await request(sandbox, `/posts/${number}?account_id=acc2`)).status).toBe(404);
    expect((await request(sandbox, `/posts/${number}`)).status).toBe(400);
  });

  it('meets the same faults as a message', async () => {
    const sandbox = await start();
    expect(await publish(sandbox, '[[drop-before]]')).toBeNull();
    expect(await publish(sandbox, '[[drop-after]]', [png])).toBeNull();
    expect(await publish(sandbox, '[[429:3]]')).toBe(429);
    expect(await publish(sandbox, '[[500-after]]')).toBe(500);
    expect(sandbox.deliveries().map(({ text }) => text)).toEqual(['[[drop-after]]', '[[500-after]]']);
    const limited = await start({ rateLimited: 1 });
    expect(await publish(limited, 'hello')).toBe(429);
  });

  it.each([
    ['without a text', '', [], 'acc1', 400],
    ['that is too long', 'x'.repeat(3_001), [], 'acc1', 400],
    ['with a file that is not a picture', 'x', [new Blob(['x'], { type: 'text/plain' })], 'acc1', 400],
    ['with an empty picture', 'x', [new Blob([], { type: 'image/png' })], 'acc1', 400],
    ['of an account that is gone', 'x', [], 'gone-1', 422],
  ])('%s is refused', async (_post, text, files, account, status) => {
    const sandbox = await start();
    expect(await publish(sandbox, text, files, account)).toBe(status);
    expect(sandbox.deliveries()).toHaveLength(0);
  });

  it('may have 30 MB of media, but not 60 MB, beyond the limit of 40 MB', async () => {
    const sandbox = await start();
    const large = new Blob([new Uint8Array(30 * 1024 * 1024)], { type: 'video/mp4' });
    expect(await publish(sandbox, 'large', [large])).toBe(201);
    expect(await publish(sandbox, 'larger', [large, large])).toBe(413);
  });

  it('is reported to no webhook', async () => {
    const givenUp: string[] = [];
    const listener = await start();
    const sandbox = await start({
      webhooks: {
        unipile: { url: `${listener.url}/none`, secret: 's' },
        delayMs: [0, 0],
        onGivenUp: (url) => givenUp.push(url),
        pauseMs: 1,
      },
    });
    await publish(sandbox, 'hello');
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(givenUp).toEqual([]);
  });
});

it('the sandbox serves a small picture and shows a post at its permalink', async () => {
  const sandbox = await start();
  const picture = await fetch(`${sandbox.url}/media/demo-1.png`);
  expect(picture.headers.get('content-type')).toBe('image/png');
  expect(
    Buffer.from(await picture.arrayBuffer())
      .subarray(1, 4)
      .toString(),
  ).toBe('PNG');
  await publish(sandbox, 'see me', [png]);
  const url = `${sandbox.url}/feed/update/${sandbox.deliveries()[0]?.id}`;
  expect(await (await fetch(url)).text()).toMatch(/see me[\s\S]*1 picture/);
  expect((await fetch(`${sandbox.url}/feed/update/urn:li:activity:1`)).status).toBe(404);
});

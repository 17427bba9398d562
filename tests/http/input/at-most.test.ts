import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { ValidationError } from '../../../lib/http/http-error.ts';
import { atMost } from '../../../lib/http/input/at-most.ts';
import { saveAccount } from '../../../lib/operate/accounts.ts';
import { readUnipileWebhook } from '../../../lib/providers/unipile/unipile-webhook.ts';
import { readWhatsappWebhook } from '../../../lib/providers/whatsapp/whatsapp-webhook.ts';
import { enqueueDms } from '../../../lib/queues/dm-queue/new-dms.ts';
import { enqueueJobs } from '../../../lib/queues/jobs/new-jobs.ts';
import { editMonitor } from '../../../lib/queues/monitors/edit-monitor.ts';
import { createMonitors } from '../../../lib/queues/monitors/new-monitors.ts';
import { editPost, mediaGuard } from '../../../lib/queues/posts/edit-post.ts';
import { insertPosts } from '../../../lib/queues/posts/new-posts.ts';
import { enrolPeople } from '../../../lib/queues/sequences/new-enrolments.ts';
import { createSequence, previewSequence } from '../../../lib/queues/sequences/sequences.ts';

const many = 100_000;
const account_id = '11111111-1111-4111-8111-111111111111';
const entries = (value: unknown): unknown[] => Array.from({ length: many }, () => value);
const names = (value: unknown) => Object.fromEntries(entries(value).map((one, n) => [`n${n}`, one]));

/** Wraps `list` to count how many of its entries are read. */
function watched<List extends object>(list: List): { list: List; read: () => number } {
  let read = 0;
  const counting = new Proxy(list, {
    get(target, key, receiver) {
      if (typeof key === 'string' && key !== 'length' && Object.hasOwn(target, key)) read++;
      return Reflect.get(target, key, receiver);
    },
  });
  return { list: counting, read: () => read };
}

/** Returns the errors of the `ValidationError` that `send` rejects with, or null if it resolves. */
const errorsOf = (send: Promise<object>) =>
  send.then(
    () => null,
    (error: ValidationError) => error.errors,
  );

const rpc = () => Promise.reject(new Error('the database is called'));
const isPublic = async () => null;
const by = 'Mira';
const post = { account_id, body: 'b' };
const dm = { account_id, channel: 'whatsapp', recipient: 'ann', body: 'b' };
const templated = (parameters: unknown) => ({ template: { name: 'n', language: 'en', parameters } });
const sequence = (step: object) => ({
  name: 's',
  channel: 'whatsapp',
  steps: [{ kind: 'message', body: 'b', ...step }],
});
const addSequence = (step: object) => createSequence(rpc, sequence(step), by);
const addMonitor = (more: object) =>
  createMonitors(rpc, isPublic, { name: 'm', url: 'https://example.com', ...more }, by);
const enrol = (variables: object) =>
  enrolPeople(rpc, '1', { account_id, recipient: 'ann', variables }, false);
const url = 'https://a.b/c';
const span = '09:00-10:00';

const shapes: [label: string, list: object, max: number, send: (list: object) => Promise<object>][] = [
  ['messages', entries(dm), 1_000, (list) => enqueueDms(rpc, list)],
  ['posts', entries({}), 1_000, (list) => insertPosts(rpc, mediaGuard([]), list)],
  ['jobs', entries({}), 1_000, (list) => enqueueJobs({ rpc }, list)],
  ['monitors', entries({}), 1_000, (list) => createMonitors(rpc, isPublic, list, by)],
  ['people', entries({}), 1_000, (list) => enrolPeople(rpc, '1', list, false)],
  [
    'media of a new post',
    entries(url),
    20,
    (list) => insertPosts(rpc, mediaGuard([]), { ...post, media_urls: list }),
  ],
  ['media of a post', entries(url), 20, (list) => editPost(rpc, [], '1', { media_urls: list }, by)],
  ['parameters of a template', entries('p'), 100, (list) => enqueueDms(rpc, { ...dm, ...templated(list) })],
  ['parameters of a step', entries('p'), 100, (list) => addSequence(templated(list))],
  ['steps', entries({}), 50, (steps) => createSequence(rpc, { ...sequence({}), steps }, by)],
  ['spans of a step’s day', entries(span), 24, (mon) => addSequence({ hours: { mon } })],
  ['spans of an account’s day', entries(span), 24, (mon) => saveAccount(rpc, { hours: { mon } }, by)],
  ['queues of an account', names({}), 100, (queues) => saveAccount(rpc, { queues }, by)],
  ['variables', names('v'), 50, (variables) => enrol(variables)],
  [
    'variables of a preview',
    names('v'),
    50,
    (variables) => previewSequence(rpc, '1', { account_id, variables }),
  ],
  ['headers', names('h'), 50, (headers) => addMonitor({ headers })],
  ['headers of a monitor', names('h'), 50, (headers) => editMonitor(rpc, isPublic, '1', { headers }, by)],
  ['regions', entries('eu'), 50, (only_regions) => addMonitor({ only_regions })],
];

describe('100,000 entries', () => {
  it.each(shapes)('of %s are refused by their count', async (_label, list, max, send) => {
    const { list: sent, read } = watched(list);
    const errors = JSON.stringify(await errorsOf(send(sent)));
    expect(read()).toBe(0);
    expect(errors).toContain(`${many}`);
    expect(errors).toContain(`${max}`);
    expect(errors.length).toBeLessThan(1_000);
  });

  const inValue = (value: object) => ({ entry: [{ changes: [{ field: 'messages', value }] }] });
  it.each([
    ['entries', (entry: unknown[]) => ({ entry })],
    ['changes', (changes: unknown[]) => ({ entry: [{ changes }] })],
    ['statuses', (statuses: unknown[]) => inValue({ statuses })],
    ['messages', (messages: unknown[]) => inValue({ messages })],
  ])('of WhatsApp’s %s are refused by their count', (_label, webhook) => {
    const { list: entry, read } = watched({ id: 'id', changes: [], field: 'messages' });
    const { error, receipts } = readWhatsappWebhook(webhook(entries(entry)));
    expect([read(), receipts, error]).toEqual([0, [], 'the body has more than 10000 entries']);
  });

  it('of WhatsApp are refused even if they are spread over many lists', () => {
    const change = { field: 'messages', value: { statuses: [{}, {}] } };
    const changes = Array.from({ length: 5_000 }, () => change);
    expect(readWhatsappWebhook({ entry: [{ changes }] }).error).toBeDefined();
    expect(readWhatsappWebhook({ entry: [{ changes: changes.slice(1_700) }] }).error).toBeUndefined();
  });

  it('of a group’s attendees are not read, and its message is accepted', () => {
    const { list: attendees, read } = watched(entries({ attendee_provider_id: 'p' }));
    const ids = { message_id: 'm', account_id: 'a' };
    const { receipts } = readUnipileWebhook({
      event: 'message_received',
      ...ids,
      is_sender: true,
      attendees,
    });
    expect(read()).toBe(0);
    expect(receipts).toMatchObject([{ message_id: 'm', recipient: undefined }]);
  });

  it('that are unknown fields are reported by ten of their names', async () => {
    const errors = JSON.stringify(await errorsOf(enqueueDms(rpc, { ...dm, ...names(1) })));
    expect(errors).toContain('and 99990 more');
    expect(errors.length).toBeLessThan(1_000);
  });

  it('with a fault each are reported by their first 100 faults', async () => {
    const jobs = { wide: { payload: z.object({ ids: z.array(z.string()) }), run: () => {} } };
    const job = { name: 'wide', payload: { ids: entries(1) } };
    const errors = await errorsOf(enqueueJobs({ rpc, jobs }, job));
    expect(errors).toMatchObject({ length: 100, 0: { field: 'payload.ids.0' } });
  });

  it('with a fault each, in many jobs, are not all read', async () => {
    let reads = 0;
    const payload = z.object({ ids: z.array(z.custom(() => reads++ < 0)) });
    const job = { name: 'wide', payload: { ids: Array.from({ length: 1_000 }, () => 1) } };
    const jobs = { wide: { payload, run: () => {} } };
    const errors = await errorsOf(enqueueJobs({ rpc, jobs }, Array(1_000).fill(job)));
    expect(reads).toBeLessThan(20_000);
    expect(errors).toHaveProperty('0', { index: 0, field: 'payload.ids.0', message: 'Invalid input' });
  });
});

it('a list within its limit is parsed, and may be left out if its field is optional', () => {
  const two = atMost(2, z.array(z.string()));
  expect(two.parse(['a', 'b'])).toEqual(['a', 'b']);
  expect(two.safeParse(['a', 1]).error?.issues).toMatchObject([{ path: [1] }]);
  const message = 'has 3 entries; at most 2 are allowed';
  expect(two.safeParse(['a', 'b', 'c']).error?.issues).toMatchObject([{ message }]);
  expect(z.strictObject({ list: two.optional() }).parse({})).toEqual({});
  expect(z.strictObject({ list: two }).safeParse({}).success).toBe(false);
});

import { describe, expect, it } from 'vitest';
import { countTwice } from '@/scripts/demo/deliveries.ts';
import { readOptions } from '@/scripts/demo/demo-options.ts';
import { demoAccounts, helpAccountId } from '@/scripts/demo/inputs/demo-accounts.ts';
import { demoReplies } from '@/scripts/demo/inputs/demo-replies.ts';
import { type DemoRow, demoRows } from '@/scripts/demo/inputs/demo-rows.ts';
import { childEnv } from '@/scripts/demo/processes/child-env.ts';

const NOW_MS = Date.UTC(2030, 0, 15, 12);
const accounts = demoAccounts.map((account, index) => ({ ...account, id: `id-${index}` }));
const capped = accounts.find((account) => account.daily_limit === 5);
const plan = (count: number, runId = 'r1') => demoRows(count, accounts, runId, NOW_MS);

const isBad = ({ recipient = '', chat_id = '' }: DemoRow) => /(^|__)(gone-|\+000)/.test(recipient || chat_id);
const isCapped = (row: DemoRow) => row.account_id === capped?.id;
const dueInMs = (row: DemoRow) => Date.parse(row.send_at) - NOW_MS;

describe('the rows of the demo', () => {
  it.each([1, 2, 7, 200, 1_000, 5_000])(
    'are as many as requested (%i), each with its own key and text, which no other run has',
    (count) => {
      const rows = [...plan(count, 'r1'), ...plan(count, 'r2')];
      for (const field of ['idempotency_key', 'body'] as const)
        expect(new Set(rows.map((row) => row[field])).size).toBe(2 * count);
      for (const row of rows) expect(row.recipient ?? row.chat_id).toBeTruthy();
    },
  );

  it('let at least 150 of 200 be sent within 90 s, despite lost responses and a low limit', () => {
    const rows = plan(200);
    const late = rows.filter((row) => dueInMs(row) > 60_000);
    const small = rows.filter(isCapped);
    const bad = rows.filter(isBad);
    expect([late.length, small.length, bad.length]).toEqual([8, 10, 4]);
    // 3 % of responses are lost; 9 % would be very bad luck.
    const sendable = rows.filter((row) => !late.includes(row) && !small.includes(row) && !bad.includes(row));
    expect(sendable.length - Math.ceil(200 * 0.09)).toBeGreaterThanOrEqual(150);
    // One tick of 30 rows every 10 s: nine start within 90 s, and the last rows are due after 60 s.
    expect(6 * 30).toBeGreaterThanOrEqual(rows.filter((row) => dueInMs(row) <= 0).length);
  });

  it('fall due before now, soon and later, and every account has some', () => {
    const rows = plan(200);
    const overdue = rows.filter((row) => dueInMs(row) < 0);
    expect(overdue.length).toBe(180);
    expect(overdue.map(dueInMs)).toEqual([...overdue.map(dueInMs)].sort((a, b) => a - b));
    expect(Math.max(...rows.map(dueInMs))).toBe(240_000);
    expect(new Set(rows.map((row) => row.account_id)).size).toBe(8);
  });

  it.each([200, 1_000, 5_000])(
    'stay below each account’s daily limit, even if there are %i, except for the account with the low limit',
    (count) => {
      for (const account of accounts.filter(({ id }) => id !== capped?.id)) {
        const own = plan(count).filter((row) => row.account_id === account.id);
        expect(own.length).toBeLessThan(account.daily_limit);
      }
      expect(plan(count).filter(isCapped).length).toBe(10);
    },
  );

  it('go over WhatsApp as text to people who wrote first, and as a template with a unique text to the others', () => {
    const rows = plan(200);
    const whatsapp = rows.filter(({ channel }) => channel === 'whatsapp');
    const wrote = new Set(demoReplies(rows, accounts).map(({ account, recipient }) => account + recipient));
    const number = new Map(accounts.map(({ id, provider_account_id }) => [id, provider_account_id]));
    for (const { account_id, recipient, template } of whatsapp)
      expect(template === undefined).toBe(wrote.has(`${number.get(account_id)}${recipient}`));
    expect(demoReplies(rows, accounts).every(({ account }) => account === helpAccountId)).toBe(true);
    expect(wrote.size).toBeGreaterThan(20);
    const templates = whatsapp.flatMap(({ template }) => template?.parameters.join(' ') ?? []);
    expect(templates.length).toBeGreaterThan(40);
    expect(new Set(templates).size).toBe(templates.length);
    for (const text of templates) expect(text).not.toMatch(/[\n\t]| {5}/);
    const providers = new Map(accounts.map(({ id, provider }) => [id, provider]));
    for (const { account_id, channel, template } of rows) {
      expect(channel).toBe(providers.get(account_id) === 'unipile' ? 'linkedin' : 'whatsapp');
      if (channel === 'linkedin') expect(template).toBeUndefined();
    }
  });
});

describe('the demo', () => {
  it('hides every setting of a real project from its processes, including settings that Next reads from a file', () => {
    const inherited = { PATH: '/bin', SUPABASE_URL: 'https://x', SUPABASE_DB_PASSWORD: 'p', VERCEL_ENV: 'p' };
    const env = childEnv(inherited, { API_KEY: 'key' });
    expect(env).toMatchObject({ PATH: '/bin', API_KEY: 'key' });
    const hidden = 'SUPABASE_SECRET_KEY SUPABASE_SERVICE_ROLE_KEY KV_REST_API_URL VERCEL DASHBOARD_PASSWORD';
    for (const name of [...Object.keys(inherited).slice(1), ...hidden.split(' ')])
      expect(env[name], name).toBe('');
  });

  it('counts repeated deliveries', () => {
    const one = { account: 'a', recipient: 'r', text: 't', at: '2030-01-15T12:00:00.000Z' };
    expect(countTwice([one, { ...one, text: 'u' }])).toBe(0);
    expect(countTwice([one, { ...one, text: 'u' }, one, one])).toBe(2);
  });

  it('reads its options, and shows the usage for invalid ones', () => {
    expect(readOptions(['--port', '3100', '--rows=1000', '--fresh'])).toEqual({
      port: 3_100,
      sandboxPort: 4_010,
      rows: 1_000,
      fresh: true,
      help: false,
    });
    for (const args of [['--rows', '0'], ['--rows', '1e9'], ['--port', 'x'], ['--wat'], ['here']]) {
      expect(() => readOptions(args), args.join(' ')).toThrow(/Usage: npm run demo/);
    }
    expect(() => readOptions(['--port', '4010'])).toThrow(/both 4010/);
  });
});

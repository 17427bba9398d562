import { describe, expect, it } from 'vitest';
import { demoAccounts } from '@/scripts/demo/inputs/demo-accounts.ts';
import { demoPosts } from '@/scripts/demo/inputs/demo-posts.ts';

const NOW_MS = Date.UTC(2030, 0, 15, 12);
const sandbox = 'http://127.0.0.1:4010';
const accounts = demoAccounts.map((account, index) => ({ ...account, id: `id-${index}` }));
const plan = (runId = 'r1') => demoPosts(accounts, sandbox, runId, NOW_MS);

describe('the posts of the demo', () => {
  it('are 24, each with its own key and text, and share none with another run', () => {
    const posts = [...plan('r1'), ...plan('r2')];
    expect(posts).toHaveLength(48);
    expect(new Set(posts.map((post) => post.idempotency_key)).size).toBe(48);
    expect(new Set(posts.map((post) => post.body)).size).toBe(48);
  });

  it('belong to LinkedIn accounts whose daily limit exceeds 24', () => {
    const authors = new Set(plan().map((post) => accounts.find(({ id }) => id === post.account_id)));
    expect(authors.size).toBe(4);
    for (const author of authors) {
      expect(author?.provider).toBe('unipile');
      expect(author?.daily_limit).toBeGreaterThan(24);
    }
  });

  it('fall due before now, within the next minute and up to 4 minutes later, so that most are published within 90 s', () => {
    const due = plan().map((post) => Date.parse(post.scheduled_for) - NOW_MS);
    expect(due).toEqual([...due].sort((a, b) => a - b));
    expect(due.filter((ms) => ms < 0)).toHaveLength(16);
    expect(due.filter((ms) => ms >= 0 && ms <= 60_000)).toHaveLength(5);
    expect(Math.max(...due)).toBeLessThanOrEqual(240_000);
  });

  it('include six pictures from the sandbox', () => {
    const pictures = plan().flatMap((post) => post.media_urls);
    expect(pictures).toHaveLength(6);
    for (const url of pictures) expect(url).toMatch(/^http:\/\/127\.0\.0\.1:4010\/media\/[\w-]+\.png$/);
  });
});

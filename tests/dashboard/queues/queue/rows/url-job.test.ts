import { createElement } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { expect, it } from 'vitest';
import { Content } from '../../../../../app/(dashboard)/queues/[queue]/rows/[id]/content.tsx';
import { enqueueJobs } from '../../../../../lib/queues/jobs/new-jobs.ts';
import { rowStorySchema } from '../../../../../lib/store/story/row-story.ts';
import { testDatabase } from '../../../../support/fixtures.ts';

const database = testDatabase();

it('the page of a job that calls a URL shows its method and URL, and neither its query nor its headers', async () => {
  const headers = { authorization: 'Bearer hush' };
  const { rows } = await enqueueJobs(
    { rpc: database.rpc, env: { jobSigningSecrets: ['secret'] } },
    { url: 'https://8.8.8.8/receipts?key=hush', method: 'PUT', headers, payload: { orderId: '42' } },
  );
  const found = await database.rpc('read_row', { p_queue: 'jobs', p_id: rows[0]?.id });
  const html = renderToStaticMarkup(
    createElement(Content, { story: rowStorySchema.parse(found), accounts: [] }),
  );
  const text = html.replaceAll(/<[^>]*>/g, ' ').replaceAll(/\s+/g, ' ');
  expect(text).toContain('Calls PUT https://8.8.8.8/receipts ');
  expect(text).toContain('orderId');
  expect(html).not.toContain('hush');
});

import { expect, it } from 'vitest';
import { multipart } from '../../lib/net/multipart.ts';

it('multipart() delivers texts and files byte for byte', async () => {
  const bytes = new Uint8Array(Array.from({ length: 512 }, (_, byte) => byte % 256));
  const { contentType, body } = multipart({ text: 'a\r\nb\nc\r --x-- 👋', left_out: undefined }, [
    { field: 'attachments', fileName: 'media-1.png', contentType: 'image/png', bytes },
    { field: 'attachments', fileName: 'media-2.mp4', contentType: 'video/mp4', bytes: Buffer.from('\r\n--') },
  ]);
  const form = await new Response(body, { headers: { 'content-type': contentType } }).formData();
  expect([...form.keys()]).toEqual(['text', 'attachments', 'attachments']);
  expect(form.get('text')).toBe('a\r\nb\nc\r --x-- 👋');
  const files = form.getAll('attachments') as File[];
  expect(files.map(({ name, type }) => [name, type])).toEqual([
    ['media-1.png', 'image/png'],
    ['media-2.mp4', 'video/mp4'],
  ]);
  expect(new Uint8Array((await files[0]?.arrayBuffer()) ?? new ArrayBuffer())).toEqual(bytes);
  expect(await files[1]?.text()).toBe('\r\n--');
});

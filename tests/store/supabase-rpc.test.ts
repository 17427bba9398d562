import { expect, it } from 'vitest';
import { supabaseRpc } from '../../lib/store/supabase-rpc.ts';
import { loopback } from '../net/loopback.ts';

const net = loopback();

it('the error names the host that did not answer, and the reason', async () => {
  const url = await net.serve(() => {});
  await net.closeAll();
  const { host } = new URL(url);
  await expect(supabaseRpc({ url, serviceRoleKey: 'the-key' })('read_health', {})).rejects.toMatchObject({
    kind: 'unavailable',
    message: expect.stringMatching(new RegExp(`^the Data API at ${host} did not answer: .*ECONNREFUSED`)),
  });
});

it('the error names the host and the status of a response that is not JSON', async () => {
  const fetch = async () => new Response('<html>', { status: 502 });
  const rpc = supabaseRpc({ url: 'https://abc.supabase.co', serviceRoleKey: 'the-key', fetch });
  await expect(rpc('read_health', {})).rejects.toThrow('the Data API at abc.supabase.co answered 502');
});

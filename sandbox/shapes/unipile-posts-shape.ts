import type { Answer } from '../answer';
import type { Delivery, DeliveryLog } from '../delivery-log';
import { decodePart } from './decode-part';
import { readForm } from './read-form';
import type { Asked, Reading, Shape } from './shape';
import { goneParty, unipileError } from './unipile-error';

/** Pictures and videos, in base64 by v2, and the text beside them. */
export const MAX_POST_BYTES = 48 * 1024 * 1024;

const MOST_CHARACTERS = 3_000;

/** The answers to a post; those to what fails are any call's. */
export function postShape(failures: Shape): Shape {
  return {
    ...failures,
    // By another id than the list shows, as LinkedIn has several for one post.
    accepted: (delivery) => ({
      status: 201,
      body: { object: 'PostCreated', post_id: shareNumber(delivery) },
    }),
    tooLong: () => unipileError(413, 'content_too_large', 'The body is larger than 48 MB'),
  };
}

/** Reads a request below `/api/v1` that is about posts; null where it is not. */
export async function readPostRequest(
  asked: Asked,
  log: DeliveryLog,
  failures: Shape,
): Promise<Reading | null> {
  const path = asked.url.pathname.replace(/\/$/, '').split('/').slice(3).map(decodePart);
  const account = asked.url.searchParams.get('account_id');
  if (asked.method === 'POST' && path.join('/') === 'posts') return readPost(asked, failures);
  const about =
    path[0] === 'posts' ? 'post' : path[0] === 'users' ? (path[1] === 'me' ? 'me' : path[2]) : null;
  if (asked.method !== 'GET' || !about || !['post', 'me', 'posts'].includes(about)) return null;
  if (!account) return { answer: unipileError(400, 'missing_parameters', 'account_id is missing') };
  if (about === 'me') return { answer: { status: 200, body: ownProfile(account) } };
  if (about === 'posts') return { answer: listPosts(asked, path[1] ?? '', account, log) };
  const found = log.postsOf(account).find((post) => namesOf(post).includes(path[1] ?? ''));
  return {
    answer: found
      ? { status: 200, body: shown(found, asked) }
      : unipileError(404, 'resource_not_found', 'No such post'),
  };
}

async function readPost(asked: Asked, failures: Shape): Promise<Reading> {
  const form = await readForm(asked);
  if (!form) return { answer: unipileError(400, 'invalid_parameters', 'A multipart body is expected') };
  const [account, text] = [form.fields.get('account_id'), form.fields.get('text')];
  if (!account || !text)
    return { answer: unipileError(400, 'missing_parameters', 'account_id or text is missing') };
  if (text.length > MOST_CHARACTERS)
    return { answer: unipileError(400, 'invalid_parameters', 'text is too long') };
  const files = form.files.filter(({ field }) => field === 'attachments');
  if (files.some(({ contentType, bytes }) => bytes === 0 || !/^(image|video)\//.test(contentType)))
    return { answer: unipileError(400, 'invalid_parameters', 'An attachment is no picture and no video') };
  return {
    send: { kind: 'post', provider: 'unipile', account, recipient: 'profile', text, media: files.length },
    shape: postShape(failures),
    refusal: goneParty(account),
  };
}

const selfOf = (account: string) => `self-of-${account}`;

const ownProfile = (account: string) => ({
  object: 'AccountOwnerProfile',
  provider: 'LINKEDIN',
  provider_id: selfOf(account),
  public_identifier: account,
  first_name: account,
  last_name: '',
});

/** `GET …/users/{id}/posts`: newest first; `limit` and `cursor` work. */
function listPosts(asked: Asked, identifier: string, account: string, log: DeliveryLog): Answer {
  const query = asked.url.searchParams;
  const limit = Number(query.get('limit') ?? 10);
  if (!Number.isInteger(limit) || limit < 1 || limit > 100)
    return unipileError(400, 'invalid_parameters', 'limit is from 1 to 100');
  if (identifier !== selfOf(account)) return unipileError(404, 'resource_not_found', 'No such user');
  // The cursor counts from the oldest, so that a post between two pages shifts nothing.
  const all = log.postsOf(account);
  const older = all.slice(0, Number(query.get('cursor') ?? all.length));
  const page = older.slice(-limit);
  const left = older.length - page.length;
  const items = page.reverse().map((post) => shown(post, asked));
  return { status: 200, body: { object: 'PostList', items, cursor: left > 0 ? String(left) : null } };
}

const activityNumber = ({ id }: Delivery) => id.replace('urn:li:activity:', '');
const shareNumber = (post: Delivery) => String(BigInt(activityNumber(post)) + 1n);

function namesOf(post: Delivery): string[] {
  const share = shareNumber(post);
  return [post.id, activityNumber(post), share, `urn:li:share:${share}`];
}

function shown(post: Delivery, asked: Asked) {
  return {
    object: 'Post',
    provider: 'LINKEDIN',
    id: activityNumber(post),
    social_id: post.id,
    share_url: `http://${asked.header('host') ?? 'sandbox'}/feed/update/${post.id}`,
    date: '1m',
    parsed_datetime: post.at,
    text: post.text,
    attachments: Array.from({ length: post.media ?? 0 }, (_, index) => ({ id: `m${index}`, type: 'img' })),
    author: {
      id: selfOf(post.account),
      public_identifier: post.account,
      name: post.account,
      is_company: false,
    },
    is_repost: false,
  };
}

/** What a permalink of the sandbox leads to. */
export function showPost(urn: string, log: DeliveryLog): Answer {
  const post = log.all().find(({ id }) => id === urn);
  if (!post) return { status: 404, body: 'The sandbox has no such post.\n' };
  const media = post.media ? `\n\n(with ${post.media} pictures or videos)` : '';
  return { status: 200, body: `${post.account}, ${post.at}\n\n${post.text}${media}\n` };
}

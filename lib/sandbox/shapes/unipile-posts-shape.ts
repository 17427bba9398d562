import type { Delivery, DeliveryLog } from '../delivery-log.ts';
import type { SandboxResponse } from '../response.ts';
import { decodePart } from './decode-part.ts';
import { readForm } from './read-form.ts';
import type { ParsedRequest, ProviderRequest, Shape } from './shape.ts';
import { goneParty, unipileError } from './unipile-error.ts';

/** Room for the text, and for pictures and videos, which v2 sends in base64. */
export const MAX_POST_BYTES = 48 * 1024 * 1024;

const MAX_CHARACTERS = 3_000;

/** Returns the responses to a post. Failures are the same as for messages. */
export function postShape(failures: Shape): Shape {
  return {
    ...failures,
    // Another id than in the list, because LinkedIn has several for one post.
    accepted: (delivery) => ({
      status: 201,
      body: { object: 'PostCreated', post_id: shareNumber(delivery) },
    }),
    tooLong: () => unipileError(413, 'content_too_large', 'The body is larger than 48 MB'),
  };
}

/** Parses a request below `/api/v1` that concerns posts; null for any other. */
export async function readPostRequest(
  request: ProviderRequest,
  log: DeliveryLog,
  failures: Shape,
): Promise<ParsedRequest | null> {
  const path = request.url.pathname.replace(/\/$/, '').split('/').slice(3).map(decodePart);
  const account = request.url.searchParams.get('account_id');
  if (request.method === 'POST' && path.join('/') === 'posts') return readPost(request, failures);
  const about =
    path[0] === 'posts' ? 'post' : path[0] === 'users' ? (path[1] === 'me' ? 'me' : path[2]) : null;
  if (request.method !== 'GET' || !about || !['post', 'me', 'posts'].includes(about)) return null;
  if (!account) return { response: unipileError(400, 'missing_parameters', 'account_id is missing') };
  if (about === 'me') return { response: { status: 200, body: ownProfile(account) } };
  if (about === 'posts') return { response: listPosts(request, path[1] ?? '', account, log) };
  const found = log.postsOf(account).find((post) => namesOf(post).includes(path[1] ?? ''));
  return {
    response: found
      ? { status: 200, body: shown(found, request) }
      : unipileError(404, 'resource_not_found', 'No such post'),
  };
}

async function readPost(request: ProviderRequest, failures: Shape): Promise<ParsedRequest> {
  const form = await readForm(request);
  if (!form) return { response: unipileError(400, 'invalid_parameters', 'A multipart body is expected') };
  const [account, text] = [form.fields.get('account_id'), form.fields.get('text')];
  if (!account || !text)
    return { response: unipileError(400, 'missing_parameters', 'account_id or text is missing') };
  if (text.length > MAX_CHARACTERS)
    return { response: unipileError(400, 'invalid_parameters', 'text is too long') };
  const files = form.files.filter(({ field }) => field === 'attachments');
  if (files.some(({ contentType, bytes }) => bytes === 0 || !/^(image|video)\//.test(contentType)))
    return {
      response: unipileError(400, 'invalid_parameters', 'An attachment is neither a picture nor a video'),
    };
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

/** `GET …/users/{id}/posts`: newest first, with `limit` and `cursor`. */
function listPosts(
  request: ProviderRequest,
  identifier: string,
  account: string,
  log: DeliveryLog,
): SandboxResponse {
  const query = request.url.searchParams;
  const limit = Number(query.get('limit') ?? 10);
  if (!Number.isInteger(limit) || limit < 1 || limit > 100)
    return unipileError(400, 'invalid_parameters', 'limit must be from 1 to 100');
  if (identifier !== selfOf(account)) return unipileError(404, 'resource_not_found', 'No such user');
  // The cursor counts from the oldest post, so that a post between two pages shifts nothing.
  const all = log.postsOf(account);
  const older = all.slice(0, Number(query.get('cursor') ?? all.length));
  const page = older.slice(-limit);
  const left = older.length - page.length;
  const items = page.reverse().map((post) => shown(post, request));
  return { status: 200, body: { object: 'PostList', items, cursor: left > 0 ? String(left) : null } };
}

const activityNumber = ({ id }: Delivery) => id.replace('urn:li:activity:', '');
const shareNumber = (post: Delivery) => String(BigInt(activityNumber(post)) + 1n);

function namesOf(post: Delivery): string[] {
  const share = shareNumber(post);
  return [post.id, activityNumber(post), share, `urn:li:share:${share}`];
}

function shown(post: Delivery, request: ProviderRequest) {
  return {
    object: 'Post',
    provider: 'LINKEDIN',
    id: activityNumber(post),
    social_id: post.id,
    share_url: `http://${request.header('host') ?? 'sandbox'}/feed/update/${post.id}`,
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

/** The page of a post's permalink. */
export function showPost(urn: string, log: DeliveryLog): SandboxResponse {
  const post = log.all().find(({ id }) => id === urn);
  if (!post) return { status: 404, body: 'The sandbox has no such post.\n' };
  const media = post.media ? `\n\n(with ${post.media} pictures or videos)` : '';
  return { status: 200, body: `${post.account}, ${post.at}\n\n${post.text}${media}\n` };
}

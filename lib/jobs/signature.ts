// Needs nothing but Web Crypto, so that it also runs at the edge, and imports nothing, so that a receiver may copy it.

/** A request was not signed by Punctual for this receiver, or not just now. Answer 401. The message says what to do. */
export class SignatureError extends Error {
  override readonly name = 'SignatureError';
  /**
   * `missing`, `malformed`: the header. `expired`: signed too long ago, or in the future. `mismatch`: another secret or another body. `unusable`:
   * no secret is given, or the body was read before.
   */
  readonly kind: 'missing' | 'malformed' | 'expired' | 'mismatch' | 'unusable';

  constructor(message: string, kind: SignatureError['kind']) {
    super(message);
    this.kind = kind;
  }
}

/** A request of any framework: the header `Punctual-Signature` and the body as it arrived, before it is parsed. */
export interface SignedRequest {
  header: string | readonly string[] | null | undefined;
  body: string | Uint8Array;
}

const signatureHeader = 'punctual-signature';
const algorithm = { name: 'HMAC', hash: 'SHA-256' } as const;

/** Returns the value of `Punctual-Signature`: `t=<unix seconds>,v1=<hex>`, with one `v1` for each secret. */
export async function signBody(body: string, secrets: readonly string[], atSeconds: number): Promise<string> {
  const signed = signedBytes(atSeconds, encode(body));
  const macs = secrets.map(async (secret) => {
    const mac = await crypto.subtle.sign(algorithm, await keyOf(secret), signed);
    return `v1=${[...new Uint8Array(mac)].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
  });
  return [`t=${atSeconds}`, ...(await Promise.all(macs))].join(',');
}

/**
 * Verifies the signature of a job's call, and returns its body as text. Reads the body of a `Request`. `secrets` are those of the app, one or, while it is
 * changed, two. `toleranceSeconds` bounds the age of a call, and so how long it may be replayed. `now` returns milliseconds since the epoch.
 *
 * Throws a `SignatureError`.
 */
export async function verifySignature(
  request: Request | SignedRequest,
  secrets: string | readonly string[],
  { toleranceSeconds = 300, now = Date.now }: { toleranceSeconds?: number; now?: () => number } = {},
): Promise<string> {
  const known = [secrets].flat().filter((secret) => secret !== '' && secret !== undefined);
  if (known.length === 0) {
    throw new SignatureError('no secret is given: pass the JOB_SIGNING_SECRET of the app', 'unusable');
  }
  const { header, body } = await readRequest(request);
  const { atSeconds, signatures } = parseHeader(header);
  const ageSeconds = Math.floor(now() / 1_000) - atSeconds;
  if (!(Math.abs(ageSeconds) <= toleranceSeconds)) {
    throw new SignatureError(
      `it was signed ${Math.abs(ageSeconds)} s ${ageSeconds < 0 ? 'in the future' : 'ago'}, and ${toleranceSeconds} s are allowed: it may be a replay. If not, correct the clock of this machine`,
      'expired',
    );
  }
  const signed = signedBytes(atSeconds, body);
  for (const secret of known) {
    const key = await keyOf(secret);
    for (const signature of signatures) {
      // Compares in constant time.
      if (await crypto.subtle.verify(algorithm, key, signature, signed))
        return new TextDecoder('utf-8', { ignoreBOM: true }).decode(body);
    }
  }
  throw new SignatureError(
    'it does not fit the body: compare the secret with the JOB_SIGNING_SECRET of the app, and pass the body as it arrived, not parsed and written anew',
    'mismatch',
  );
}

async function readRequest(
  request: Request | SignedRequest,
): Promise<{ header: string; body: Uint8Array<ArrayBuffer> }> {
  const isRequest = 'headers' in request;
  const header = [isRequest ? request.headers.get(signatureHeader) : request.header].flat().join(',');
  if (header === '') {
    throw new SignatureError(
      'the header Punctual-Signature is missing: only Punctual may call this, and a proxy must pass the header on',
      'missing',
    );
  }
  if (!isRequest) return { header, body: encode(request.body) };
  if (request.bodyUsed) {
    throw new SignatureError(
      'the body was read before: verify first, and use the text that verifySignature returns',
      'unusable',
    );
  }
  return { header, body: new Uint8Array(await request.arrayBuffer()) };
}

/** More signatures than two secrets make would only cost time. */
const maxSignatures = 4;

function parseHeader(header: string): { atSeconds: number; signatures: Uint8Array<ArrayBuffer>[] } {
  const parts = header.split(',').map((part) => part.trim());
  const valuesOf = (name: string) =>
    parts.filter((part) => part.startsWith(`${name}=`)).map((part) => part.slice(name.length + 1));
  const [at = '', ...otherTimes] = valuesOf('t');
  const signatures = valuesOf('v1').filter((text) => /^[0-9a-f]{64}$/.test(text));
  const isValid = /^\d{1,12}$/.test(at) && otherTimes.length === 0;
  if (!isValid || signatures.length === 0 || signatures.length > maxSignatures) {
    throw new SignatureError(
      'the header Punctual-Signature is not "t=<unix seconds>,v1=<hex>": pass its whole value',
      'malformed',
    );
  }
  return { atSeconds: Number(at), signatures: signatures.map(fromHex) };
}

const keyOf = (secret: string) =>
  crypto.subtle.importKey('raw', encode(secret), algorithm, false, ['sign', 'verify']);

/** The time is signed too, so that nobody can make an old call look new. */
function signedBytes(atSeconds: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const time = encode(`${atSeconds}.`);
  const bytes = new Uint8Array(time.length + body.length);
  bytes.set(time);
  bytes.set(body, time.length);
  return bytes;
}

const encode = (text: string | Uint8Array): Uint8Array<ArrayBuffer> =>
  typeof text === 'string' ? new TextEncoder().encode(text) : new Uint8Array(text);

const fromHex = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));

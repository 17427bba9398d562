/** Shorter values are words of their own, such as `text/html`. */
const leastSecret = 6;
/** Shorter pieces of a private text are ordinary words. */
const leastPrivate = 8;

const hidden = '***';

const name =
  '(?:authorization|cookie|x-api-key|api[-_ ]?key|access[-_ ]?token|refresh[-_ ]?token|client[-_ ]?secret|token|secret|password|signature)';
/** A name of a secret, and its value after `=` or `:`, as in a header, a query or JSON. The name stays. */
const namedSecret = new RegExp(
  `(${name}\\\\?["']?\\s*[:=]\\s*)(?:(\\\\?["'])[^"'\\\\]+|(?:(?:bearer|basic)\\s+)?[^\\s"'\\\\,;&<>{}]+)`,
  'gi',
);
const bearer = /\b(bearer|basic)\s+[\w.~+/=-]{6,}/gi;
const webToken = /\beyJ[\w-]+\.[\w-]+\.[\w-]*/g;

/**
 * Removes from a text `secrets`, also as in an address or in JSON that escapes slashes, values under the name of a secret, bearer tokens and JSON
 * web tokens, and the parts of `privateTexts` that it quotes literally or as in JSON, also if they are cut off.
 */
export function redact(text: string, secrets: string[], privateTexts: string[] = []): string {
  let clean = text;
  for (const secret of secrets) {
    if (secret.length < leastSecret) continue;
    for (const form of [secret, secret.replaceAll('/', '\\/'), encodeURIComponent(secret)])
      clean = clean.replaceAll(form, hidden);
  }
  clean = clean
    .replace(webToken, hidden)
    .replace(bearer, `$1 ${hidden}`)
    .replace(namedSecret, `$1$2${hidden}`);
  for (const privateText of privateTexts) {
    const lines = [privateText, ...privateText.split(/[\r\n]+/)].map((line) => line.trim());
    for (const line of new Set(lines)) clean = withoutQuotes(clean, [line, inJson(line), inAscii(line)]);
  }
  return clean;
}

/** Returns the values of headers as `redact` takes them: credentials without their scheme. */
export const headerSecrets = (headers: Record<string, string>): string[] =>
  Object.values(headers).map((value) => value.replace(/^(Bearer|Basic) +/i, ''));

/** Copies a JSON value, with `secrets` removed from its texts. Unlike `redact` it leaves values under the name of a secret, which may be meant to be kept. */
export function withoutSecrets(value: unknown, secrets: string[]): unknown {
  if (typeof value === 'string') {
    return secrets.reduce(
      (text, secret) => (secret.length >= leastSecret ? text.replaceAll(secret, hidden) : text),
      value,
    );
  }
  if (Array.isArray(value)) return value.map((item) => withoutSecrets(item, secrets));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [withoutSecrets(key, secrets), withoutSecrets(item, secrets)]),
  );
}

/** Makes the beginning of a response fit for a log and a page: without secrets, private texts and control characters. Providers quote tokens. */
export function presentable(
  text: string,
  { secrets, privateTexts, maxLength }: { secrets: string[]; privateTexts?: string[]; maxLength: number },
): string {
  return redact(text, secrets, privateTexts)
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, maxLength)
    .toWellFormed();
}

/** Removes each place that begins as one of the forms of a line does, as far as the longest of them continues. */
function withoutQuotes(text: string, forms: string[]): string {
  const [line = ''] = forms;
  if (line === '') return text;
  if (line.length < leastPrivate) return text.replaceAll(`"${line}"`, `"${hidden}"`);
  const heads = new Set(forms.map((form) => form.slice(0, leastPrivate)));
  const parts: string[] = [];
  let from = 0;
  for (let at = firstOf(text, heads, 0); at >= 0; at = firstOf(text, heads, from)) {
    parts.push(text.slice(from, at), hidden);
    from = at + Math.max(...forms.map((form) => commonLength(text, at, form)));
  }
  return parts.join('') + text.slice(from);
}

/** Returns the first place of any of the heads from `from` on; -1 if there is none. */
function firstOf(text: string, heads: Iterable<string>, from: number): number {
  let first = -1;
  for (const head of heads) {
    const at = text.indexOf(head, from);
    if (at >= 0 && (first < 0 || at < first)) first = at;
  }
  return first;
}

/** Returns for how many characters the text continues at `at` as the form does. */
function commonLength(text: string, at: number, form: string): number {
  let length = 0;
  while (length < form.length && text[at + length] === form[length]) length += 1;
  return length;
}

const inJson = (text: string) => JSON.stringify(text).slice(1, -1);

/** As in JSON that escapes every character outside ASCII. */
const inAscii = (text: string) =>
  inJson(text).replace(
    /[\u0080-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

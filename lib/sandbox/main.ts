import { parseArgs } from 'node:util';
import { appSettings } from './app-settings.ts';
import { startSandbox } from './sandbox.ts';

const USAGE = `Usage: npm run sandbox -- [options]
  --port N           the port; 0 takes a free one (4010)
  --host ADDRESS     the address to listen on (127.0.0.1)
  --seed N           the same seed and messages give the same faults (1)
  --latency A-B      milliseconds before a response (100-800)
  --rate-limited R   share of messages that get a 429 (0.04)
  --lost R           share of messages whose response is lost (0.03)
  --steady ACCOUNTS  accounts without faults by chance, separated by commas
  --enforce-window   refuse a WhatsApp text to a person who has not written for 24 hours
  --people R,R,…     shares of people who reply to every message, every second, every third … (none)
  --answer-after A-B milliseconds before they reply (1000-4000)
  --answered ACCOUNTS  accounts that get replies, separated by commas (all)
  --whatsapp-webhook URL  gets the events sent, delivered and replies, signed with WHATSAPP_APP_SECRET of the environment
  --unipile-webhook URL   gets the events of messages and accounts, with UNIPILE_WEBHOOK_SECRET of the environment, in the form of
                     UNIPILE_API_VERSION of the environment (v1)
  --quiet            print no line per message`;

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        port: { type: 'string', default: '4010' },
        host: { type: 'string' },
        seed: { type: 'string', default: '1' },
        latency: { type: 'string', default: '100-800' },
        'rate-limited': { type: 'string', default: '0.04' },
        lost: { type: 'string', default: '0.03' },
        steady: { type: 'string' },
        'enforce-window': { type: 'boolean', default: false },
        people: { type: 'string' },
        'answer-after': { type: 'string', default: '1000-4000' },
        answered: { type: 'string' },
        'whatsapp-webhook': { type: 'string' },
        'unipile-webhook': { type: 'string' },
        quiet: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    return fail(`${(error as Error).message}\n${USAGE}`);
  }
}

const values = readArguments();
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}

function numberOf(name: string, text: string, max: number): number {
  const number = Number(text);
  const fits = text.trim() !== '' && number >= 0 && number <= max;
  return fits ? number : fail(`--${name} must be a number from 0 to ${max}, but is "${text}".`);
}

function rangeOf(name: string, text: string): [number, number] {
  const match = /^(\d+)-(\d+)$/.exec(text);
  const [min, max] = [Number(match?.[1]), Number(match?.[2])];
  return match && min <= max ? [min, max] : fail(`--${name} must look like 100-800, but is "${text}".`);
}

function sharesOf(text: string): number[] {
  const shares = text.split(',').map((share) => numberOf('people', share, 1));
  // Floating-point tenths do not add up to exactly 1.
  const fit = shares.reduce((sum, share) => sum + share, 0) < 1.000001;
  return fit ? shares : fail(`--people must add up to 1 at most, but is "${text}".`);
}

const port = numberOf('port', values.port, 65_535);

/** Returns a webhook's address and secret; undefined without an address. */
function webhookOf(option: 'whatsapp-webhook' | 'unipile-webhook', variable: string) {
  const url = values[option];
  if (url === undefined) return undefined;
  if (!/^https?:/.test(url) || !URL.canParse(url)) fail(`--${option} must be an address, but is "${url}".`);
  const secret = process.env[variable]?.trim();
  return secret ? { url, secret } : fail(`--${option} needs ${variable}: set it in the environment.`);
}

const whatsapp = webhookOf('whatsapp-webhook', 'WHATSAPP_APP_SECRET');
const unipile = webhookOf('unipile-webhook', 'UNIPILE_WEBHOOK_SECRET');

const sandbox = await startSandbox({
  port,
  host: values.host,
  seed: numberOf('seed', values.seed, Number.MAX_SAFE_INTEGER),
  latencyMs: rangeOf('latency', values.latency),
  rateLimited: numberOf('rate-limited', values['rate-limited'], 1),
  lost: numberOf('lost', values.lost, 1),
  steady: values.steady?.split(','),
  enforceWindow: values['enforce-window'],
  people: {
    shares: values.people === undefined ? [] : sharesOf(values.people),
    delayMs: rangeOf('answer-after', values['answer-after']),
    accounts: values.answered?.split(','),
  },
  webhooks: {
    whatsapp: whatsapp && { url: whatsapp.url, appSecret: whatsapp.secret },
    unipile: unipile && {
      ...unipile,
      version: process.env.UNIPILE_API_VERSION?.trim() === 'v2' ? 'v2' : 'v1',
    },
    onGivenUp: (url, reason) => console.error(`${url} did not accept an event: ${reason}`),
  },
  onTurn: values.quiet
    ? undefined
    : ({ provider, account, recipient }, fate, taken) => {
        const result = fate === 'none' ? 'delivered' : `${fate}${taken ? ', but delivered' : ''}`;
        console.log(`${provider} ${account} to ${recipient}: ${result}`);
      },
}).catch((error: NodeJS.ErrnoException) =>
  fail(
    error.code === 'EADDRINUSE'
      ? `Port ${port} is in use. Choose another one: --port N`
      : `The sandbox could not start: ${error.message}`,
  ),
);

console.log(`sandbox listening on ${sandbox.url}

Add to .env.local for npm run dev:
${appSettings(sandbox.url)}

${sandbox.url}/deliveries lists the delivered messages.
`);

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    void sandbox.close().then(() => process.exit(0));
  });
}

/** An entry of `POST /api/monitors`. */
export interface DemoMonitor {
  name: string;
  url: string;
  method?: 'GET' | 'HEAD';
  keyword_present?: string;
  keyword_absent?: string;
  timeout_ms?: number;
  degraded_ms?: number;
  interval_seconds: number;
  criticality: 'critical' | 'high' | 'normal' | 'low';
  preferred_region?: 'main' | 'fra1' | 'sin1';
  idempotency_key: string;
}

type Plan = Omit<DemoMonitor, 'url' | 'idempotency_key'> & {
  /** The path below `/sites/`; null checks only that the sandbox's port accepts connections. */
  site: string | null;
};

const healthyText = 'all is well';

const plan = (
  name: string,
  site: string | null,
  interval_seconds: number,
  criticality: DemoMonitor['criticality'] = 'normal',
  more: Partial<DemoMonitor> = {},
): Plan => ({ name, site, interval_seconds, criticality, ...more });

/** The first part of `site` names its behaviour in lib/sandbox/sites.ts. Monitors without a region are spread over all regions. */
const plans: Plan[] = [
  plan('Shop', 'ok/shop', 10, 'critical', { keyword_present: healthyText, preferred_region: 'main' }),
  plan('Checkout', 'ok/checkout', 10, 'critical', { keyword_present: healthyText, preferred_region: 'fra1' }),
  plan('Checkout API', 'ok/checkout-api', 10, 'critical', { preferred_region: 'main' }),
  plan('Sign-in', 'ok/sign-in', 10, 'critical', { keyword_absent: 'maintenance' }),
  plan('Public API', 'ok/public-api', 10, 'critical'),
  plan('API gateway', null, 10, 'critical'),
  plan('Shop, Europe', 'ok/shop-eu', 15, 'high', { preferred_region: 'fra1' }),
  plan('Shop, Asia', 'ok/shop-asia', 15, 'high', { preferred_region: 'sin1' }),
  plan('Account pages', 'ok/account', 15, 'high', { keyword_present: healthyText }),
  plan('Cart service', 'ok/cart', 15, 'high'),
  plan('Stock service', 'ok/stock', 15, 'high'),
  plan('Price service', 'ok/prices', 15, 'high'),
  plan('Order webhooks', 'ok/order-webhooks', 15, 'high'),
  plan('Realtime updates', null, 20, 'high', { preferred_region: 'sin1' }),
  plan('Image CDN', 'ok/images', 20, 'normal', { method: 'HEAD' }),
  plan('Static files', 'ok/static', 20, 'normal', { method: 'HEAD', preferred_region: 'sin1' }),
  plan('Landing page', 'ok/landing', 20, 'normal', { keyword_absent: 'maintenance' }),
  plan('Docs', 'ok/docs', 20, 'normal', { keyword_present: healthyText }),
  plan('Blog', 'ok/blog', 30),
  plan('Help centre', 'ok/help', 30),
  plan('Status page', 'ok/status', 30),
  plan('Newsletter form', 'ok/newsletter', 30, 'low'),
  plan('Press kit', 'ok/press', 30, 'low', { method: 'HEAD' }),
  plan('Careers', 'ok/careers', 30, 'low'),
  plan('Mail server', null, 30),
  plan('Old shop address', 'moved/old-shop', 30),
  plan('Short links', 'moved/short-links', 20, 'normal', { keyword_present: healthyText }),
  plan('App download', 'moved/app-download', 30, 'low'),

  plan('Search', 'slow/search', 10, 'high', { degraded_ms: 1_000 }),
  plan('Recommendations', 'slow/recommendations', 15, 'normal', { degraded_ms: 1_000 }),
  plan('Invoice PDFs', 'slow/invoices', 20, 'normal', { degraded_ms: 1_000, preferred_region: 'fra1' }),
  plan('Reports', 'slow/reports', 30, 'low', { degraded_ms: 1_000 }),

  plan('Partner API', 'down/partner-api', 10, 'high'),
  plan('Summer campaign', 'gone/summer', 15, 'low'),
  plan('Supplier portal', 'closed/suppliers', 15, 'normal', { keyword_absent: 'maintenance' }),
  plan('Legacy intranet', 'loop/intranet', 20, 'low', { preferred_region: 'main' }),

  plan('Payments API', 'flapping/payments', 10, 'critical'),
  plan('Booking API', 'recovering/bookings', 10, 'high'),

  plan('Fax gateway', 'silent/fax', 15, 'low', { timeout_ms: 2_000 }),
  plan('Warehouse scanner', 'drip/warehouse', 20, 'normal', { timeout_ms: 2_000, preferred_region: 'sin1' }),
];

/** Returns monitors of 40 sites of the sandbox. The same sandbox gets the same keys, so a repeated demo adds none. */
export function demoMonitors(sandbox: string): DemoMonitor[] {
  const { host, port } = new URL(sandbox);
  return plans.map(({ site, ...monitor }) => ({
    ...monitor,
    url: site === null ? `tcp://${host}` : `${sandbox}/sites/${site}`,
    idempotency_key: `demo-${port}-${monitor.name}`,
  }));
}

/** Whether a monitor belongs to an earlier demo, whose sandbox listened on another port. */
export function isLeftOver({ url }: { url: string }, sandbox: string): boolean {
  const { hostname, host } = new URL(url);
  return hostname === '127.0.0.1' && host !== new URL(sandbox).host;
}

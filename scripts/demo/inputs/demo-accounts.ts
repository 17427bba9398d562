/** A body of `POST /api/accounts`. */
export interface DemoAccount {
  provider: 'unipile' | 'whatsapp_cloud';
  provider_account_id: string;
  name: string;
  time_zone: string;
  /** Messages a day. */
  daily_limit: number;
}

export const account = (
  provider: DemoAccount['provider'],
  id: string,
  name: string,
  zone: string,
  limit = 1_000,
) => ({ provider, provider_account_id: id, name, time_zone: zone, daily_limit: limit });

/** The account to which people write first. */
export const helpAccountId = '105550001001';

/** The limits are enough for many demos a day. The last account shows the effect of a low limit. */
export const demoAccounts: DemoAccount[] = [
  account('unipile', 'li-ana-oliveira', 'Ana Oliveira', 'America/Sao_Paulo'),
  account('unipile', 'li-jonas-weber', 'Jonas Weber', 'Europe/Berlin'),
  account('unipile', 'li-priya-nair', 'Priya Nair', 'Asia/Kolkata'),
  account('unipile', 'li-marcus-green', 'Marcus Green', 'America/New_York'),
  account('whatsapp_cloud', helpAccountId, 'Support, Lisbon', 'Europe/Lisbon'),
  account('whatsapp_cloud', '105550001002', 'Bookings, Nairobi', 'Africa/Nairobi'),
  account('whatsapp_cloud', '105550001003', 'Deliveries, Auckland', 'Pacific/Auckland'),
  account('unipile', 'li-yuki-tanaka', 'Yuki Tanaka (5 a day)', 'Asia/Tokyo', 5),
];

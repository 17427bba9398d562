/** The longest text each channel takes, in characters. Source: LinkedIn's and WhatsApp's documented limits. */
export const bodyLimits = { linkedin: 8_000, whatsapp: 4_096 } as const;

export type Channel = keyof typeof bodyLimits;

/** The channels of messages. */
export const channels = Object.keys(bodyLimits) as Channel[];

/** The longest text of a post on LinkedIn, in characters, and the most pictures and videos beside it. Source: LinkedIn's documented limits. */
export const postLimits = { body: 3_000, media: 20 } as const;

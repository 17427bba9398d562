/** The longest text of a message by channel, in characters. Source: LinkedIn's and WhatsApp's documented limits. */
export const bodyLimits = { linkedin: 8_000, whatsapp: 4_096 } as const;

export type Channel = keyof typeof bodyLimits;

/** The channels over which messages are sent. */
export const channels = Object.keys(bodyLimits) as Channel[];

/** The longest text of a LinkedIn post, in characters, and the most pictures and videos. Source: LinkedIn's documented limits. */
export const postLimits = { body: 3_000, media: 20 } as const;

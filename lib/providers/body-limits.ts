/** The longest text each channel takes, in characters. Source: LinkedIn's and WhatsApp's documented limits. */
export const bodyLimits = { linkedin: 8_000, whatsapp: 4_096 } as const;

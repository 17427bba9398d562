interface NetworkError {
  code?: unknown;
  syscall?: unknown;
  errors?: unknown;
  cause?: unknown;
}

/** Returns the first code in a chain of causes, for example `ECONNRESET`, or null. */
export function networkCode(error: unknown): string | null {
  const { code, cause } = (error ?? {}) as NetworkError;
  if (typeof code === 'string') return code;
  return cause ? networkCode(cause) : null;
}

// Codes of a handshake that failed because of the certificate. Other TLS codes are left out: an alert can also arrive after the request.
const certificateCode =
  /^(ERR_TLS_CERT_ALTNAME_INVALID|CERT_\w+|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(GET_ISSUER_CERT(_LOCALLY)?|VERIFY_LEAF_SIGNATURE|GET_CRL\w*))$/;

/**
 * Whether an error of `fetch` proves that no request went out: the name did not resolve, there was no connection, or the certificate was rejected.
 * Only known errors count as proof, so an unforeseen one is uncertain.
 */
export function provesNothingWasSent(error: unknown): boolean {
  const { code, syscall, errors, cause } = (error ?? {}) as NetworkError;
  // One error for each address that was tried.
  if (Array.isArray(errors) && errors.length > 0) return errors.every(provesNothingWasSent);
  if (syscall === 'connect' || syscall === 'getaddrinfo') return true;
  if (typeof code === 'string' && (code === 'UND_ERR_CONNECT_TIMEOUT' || certificateCode.test(code)))
    return true;
  return cause ? provesNothingWasSent(cause) : false;
}

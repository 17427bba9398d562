import { networkCode } from '../network-error.ts';
import { PRIVATE_ADDRESS } from '../public-address.ts';

/** A check failed. The message is for a person. */
export class FailedCheckError extends Error {
  override readonly name = 'FailedCheckError';
}

/** Returns why a check failed, in words without anything that was sent. */
export function describeFailure(error: unknown): string {
  if (error instanceof FailedCheckError) return error.message;
  const code = networkCode(error);
  if (code === PRIVATE_ADDRESS) return (error as Error).message;
  if (code === null) return 'the check failed (unknown cause)';
  if (code in messages) return messages[code] as string;
  if (code.startsWith('HPE_')) return `its response is not HTTP (${code})`;
  if (/^(ERR_SSL_|ERR_TLS_)/.test(code)) return `the TLS handshake failed (${code})`;
  return `it could not be reached (${code})`;
}

const messages: Record<string, string> = {
  ENOTFOUND: 'its name does not exist (ENOTFOUND)',
  ENODATA: 'its name has no address (ENODATA)',
  EBADNAME: 'its name is not valid (EBADNAME)',
  ETIMEOUT: 'its DNS servers do not respond (ETIMEOUT)',
  ESERVFAIL: 'its DNS servers fail (ESERVFAIL)',
  EREFUSED: 'its DNS servers refuse to answer (EREFUSED)',
  ECONNREFUSED: 'the connection was refused (ECONNREFUSED)',
  ETIMEDOUT: 'the connection timed out (ETIMEDOUT)',
  EHOSTUNREACH: 'there is no route to its host (EHOSTUNREACH)',
  ENETUNREACH: 'there is no route to its network (ENETUNREACH)',
  ECONNRESET: 'the connection was interrupted (ECONNRESET)',
  EPIPE: 'the connection was interrupted (EPIPE)',
  HPE_HEADER_OVERFLOW: 'the headers of its response are longer than 16 KB',
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: 'it does not support HTTP/1.1',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS (ERR_SSL_WRONG_VERSION_NUMBER)',
};

/** Returns why a certificate is not trusted. `code` is OpenSSL's or Node's. */
export function describeCertificateFault(code: string, expiresAt: string | null): string {
  switch (code) {
    case 'CERT_HAS_EXPIRED':
      return `its certificate has expired${expiresAt === null ? '' : ` (${expiresAt.slice(0, 10)})`}`;
    case 'CERT_NOT_YET_VALID':
      return 'its certificate is not valid yet';
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return 'its certificate is for another name';
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
      return 'its certificate is self-signed';
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return 'its certificate comes from an untrusted issuer, or its chain is incomplete';
    default:
      return `its certificate is not valid (${code.slice(0, 60)})`;
  }
}

import { randomUUID } from 'node:crypto';

export interface MultipartFile {
  /** The name of the form's field. */
  field: string;
  /** Must not contain quotes and line breaks. */
  fileName: string;
  contentType: string;
  bytes: Uint8Array;
}

/** Encodes a form as `multipart/form-data`. FormData would turn each line break into CR LF, but a text must arrive unchanged. */
export function multipart(
  fields: Record<string, string | undefined>,
  files: MultipartFile[] = [],
): { contentType: string; body: Uint8Array<ArrayBuffer> } {
  const boundary = `punctual-${randomUUID()}`;
  const parts: Uint8Array[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    parts.push(text(`--${boundary}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`));
  }
  for (const { field, fileName, contentType, bytes } of files) {
    const disposition = `content-disposition: form-data; name="${field}"; filename="${fileName}"`;
    parts.push(
      text(`--${boundary}\r\n${disposition}\r\ncontent-type: ${contentType}\r\n\r\n`),
      bytes,
      text('\r\n'),
    );
  }
  parts.push(text(`--${boundary}--\r\n`));
  return { contentType: `multipart/form-data; boundary=${boundary}`, body: Buffer.concat(parts) };
}

const text = (value: string) => Buffer.from(value, 'utf8');

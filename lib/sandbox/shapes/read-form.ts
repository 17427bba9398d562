import type { Form, ProviderRequest } from './shape.ts';

/** Parses a multipart body; null if the body is no form. Keeps only the type and size of files. */
export async function readForm(request: ProviderRequest): Promise<Form | null> {
  if (request.form) return request.form;
  try {
    const headers = { 'content-type': request.header('content-type') ?? '' };
    const entries = await new Response(new Uint8Array(request.body), { headers }).formData();
    const form: Form = { fields: new Map(), files: [] };
    for (const [field, value] of entries) {
      if (typeof value === 'string') form.fields.set(field, value);
      else form.files.push({ field, contentType: value.type, bytes: value.size });
    }
    return form;
  } catch {
    return null;
  }
}

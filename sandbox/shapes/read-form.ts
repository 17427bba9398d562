import type { Asked, Form } from './shape';

/** A multipart body, or null where it is none. Of a file only its type and size are kept. */
export async function readForm(asked: Asked): Promise<Form | null> {
  if (asked.form) return asked.form;
  try {
    const headers = { 'content-type': asked.header('content-type') ?? '' };
    const entries = await new Response(new Uint8Array(asked.body), { headers }).formData();
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

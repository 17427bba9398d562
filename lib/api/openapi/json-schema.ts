import { z } from 'zod';

/** A JSON Schema of the draft 2020-12, as OpenAPI 3.1 uses it. */
export type JsonSchema = z.core.JSONSchema.JSONSchema & { description?: string };

/** Converts a schema of a request (`input`) or of a response (`output`). What JSON Schema cannot say, such as a check by code, is left out. */
export function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override({ zodSchema, jsonSchema: json }) {
      const { def } = zodSchema._zod;
      // `atMost` counts entries of anything, and passes them to the schema.
      if (def.type === 'pipe' && isUnknown(def as z.core.$ZodPipeDef))
        Object.assign(
          json,
          withoutDescription(jsonSchema((def as z.core.$ZodPipeDef).out as z.ZodType, io)),
          json,
        );
      if (json.maxLength === Number.POSITIVE_INFINITY) delete json.maxLength;
      // A format says it, and Zod's own patterns of them are long.
      if (json.format !== undefined || json.type === 'integer') delete json.pattern;
      // Responses may get more fields later.
      if (io === 'output' && json.additionalProperties === false) delete json.additionalProperties;
    },
  });
  return json as JsonSchema;
}

function isUnknown({ in: input }: z.core.$ZodPipeDef): boolean {
  return input._zod.def.type === 'unknown';
}

function withoutDescription({ description: _, ...schema }: JsonSchema): JsonSchema {
  return schema;
}

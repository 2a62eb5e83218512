import type { ErrorInfo } from '../core/errors.ts';
import type { Json } from '../core/json.ts';

/** Checks values against JSON Schemas. */
export interface Validator {
  /**
   * All faults in one ErrorInfo whose `field` is the path of the first, or null when the value is valid.
   * A schema that cannot be compiled is a fault of its own: code `bad_schema`.
   */
  faults(schema: Record<string, Json>, value: Json): ErrorInfo | null;
}

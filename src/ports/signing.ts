/** Checks signatures, and makes the digests that they are about. */
export interface Signatures {
  /** SHA-256 of a text in UTF-8, in lower-case hex. */
  sha256(text: string): string;
  /** Whether the owner of an nkey signed exactly this text; false also for a key or a signature that is none. */
  verify(publicKey: string, text: string, signature: string): boolean;
}

/** Signs in one person's or service's name. */
export interface Signer {
  readonly publicKey: string;
  /** Ed25519 over the text in UTF-8, in base64url. */
  sign(text: string): string;
}

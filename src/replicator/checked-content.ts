import { ContentFault, type TransferAttachment } from './endpoint.ts';

/** Content of exactly the announced length: a source that ends early must not pass as a shorter attachment. */
export async function* checkedContent(
  attachment: TransferAttachment,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  let bytes = 0;
  for await (const chunk of attachment.open(signal)) {
    bytes += chunk.byteLength;
    if (bytes > attachment.length) break;
    yield chunk;
  }
  if (bytes !== attachment.length)
    throw new ContentFault(`attachment ${attachment.name} has not the length that its stub says`);
}

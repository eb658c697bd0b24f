/** What one replica holds of one document, in 128 bits: two replicas whose contributions are equal hold the same leaves. */

import type { Digest, Revision } from '../document/revision.ts';
import { contributionOf, idDigestOf } from '../replication/hash-buckets.ts';

/**
 * 32 hex digits: what digest reads compare, and the same that the document adds to the hash tree. Of leaves in any
 * order; derived tombstones may be among them or not.
 */
export function contributionOfLeaves(id: string, leaves: readonly Revision[], digest: Digest): string {
  return contributionOf(idDigestOf(id, digest), leaves, digest);
}

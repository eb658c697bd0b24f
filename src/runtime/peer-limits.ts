/** What bounds the transport between nodes, in memory and time. Both ends of a stream should have the same. */

export interface PeerLimits {
  /** Body of one frame. More than a client may send in one request, because requests are forwarded. */
  readonly frameBytesMax: number;
  /** What waits on a link for the peer to read; beyond it messages are dropped. One frame may always wait. */
  readonly queueBytesMax: number;
  /** Handed to the socket at once; what is not handed yet certainly did not arrive. */
  readonly flushBytesMax: number;
  /** Requests without an answer on one link, at either end. */
  readonly requestsMax: number;
  /** Bodies of requests that are being served for one peer, with the answers that wait for it to read. */
  readonly servingBytesMax: number;
  /** Each end says that it is there this often. */
  readonly beatMs: number;
  /** After so many beats of ours without a word from the peer, the stream is given up. */
  readonly silentBeatsMax: number;
  /** From dialling to an open stream. */
  readonly connectMsMax: number;
  readonly retryMsMin: number;
  readonly retryMsMax: number;
  /** How long closing waits for the last frames to leave. */
  readonly closeMsMax: number;
}

export const peerLimits: PeerLimits = {
  frameBytesMax: 80_000_000,
  queueBytesMax: 16_000_000,
  flushBytesMax: 1_000_000,
  requestsMax: 4_096,
  servingBytesMax: 160_000_000,
  beatMs: 500,
  silentBeatsMax: 6,
  connectMsMax: 3_000,
  retryMsMin: 50,
  retryMsMax: 2_000,
  closeMsMax: 1_000,
};

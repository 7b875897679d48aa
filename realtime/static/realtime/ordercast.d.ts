/** Where a reader stands in an order's stream. Versions have no holes; another epoch means a restored journal. */
export interface Cursor {
  epoch: string;
  version: number;
}

/** connecting → live, or polling where only that gets through; reconnecting; asleep in a hidden tab; stopped for good. */
export type Status = "connecting" | "live" | "polling" | "reconnecting" | "asleep" | "stopped";

export type State =
  | "created"
  | "awaiting_payment"
  | "processing"
  | "authorised"
  | "paid"
  | "partially_refunded"
  | "refunded"
  | "disputed"
  | "charged_back"
  | "failed"
  | "cancelled"
  | "expired";

/** Absolute values after the fact, amounts in minor units. */
export interface Facts {
  total: number;
  currency: string;
  captured: number;
  refunded: number;
  disputed: number;
  needs_review: boolean;
  [field: string]: unknown;
}

export interface OrderEvent extends Cursor {
  order: string;
  id: string;
  event: string;
  state: State;
  data: Facts;
  at: string;
}

export interface Snapshot extends Cursor {
  order: string;
  state: State;
  data: Facts;
}

export interface OrderStreamOptions {
  /** Origin of the Ordercast server; that of the page where it is left out. */
  url?: string;
  /** The order's ref: 32 lower-case hex characters. */
  order: string;
  /** What the page holds already. Without it, the stream begins with a snapshot. */
  cursor?: Cursor;
  /** Lets its bearer see this order. Streams with different grants share one socket. */
  grant?: string;
  /** Who the reader is, for all of their orders. Streams with the same token share one socket. */
  token?: string;
  /**
   * For Ordercast's own pages, without grant and token: a socket of the order's own address, which the cookies that show
   * the order belong to.
   */
  own?: boolean;
  /**
   * Gives a new grant when that of the stream has run out; a new token, for a stream that has no grant. Null or "" ends
   * the stream. Where it fails, it is asked again, ever more slowly.
   */
  refreshToken?: (stream: OrderStream) => Promise<string | null>;
}

interface OrderStreamEvents {
  /** The next version. Each exactly once, in order. */
  event: CustomEvent<OrderEvent>;
  /** Forget what you hold: this is the order now. */
  snapshot: CustomEvent<Snapshot>;
  /** `status` has changed. When it is "stopped" by the server, `detail.code` is the close code. */
  status: CustomEvent<{ code: number } | null>;
}

export declare class OrderStream extends EventTarget {
  constructor(options: OrderStreamOptions);
  readonly order: string;
  readonly cursor: Cursor;
  readonly epoch: string | undefined;
  readonly version: number;
  /** The order's state and facts once anything has been heard; null before. */
  readonly state: State | null;
  readonly data: Facts | null;
  readonly status: Status;
  readonly grant: string | undefined;
  readonly transport: "websocket" | "sse" | "polling" | null;
  close(): void;
  addEventListener<K extends keyof OrderStreamEvents>(
    type: K,
    listener: (event: OrderStreamEvents[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

import type { Cursor, Facts, OrderStream, State } from "./ordercast.js";

/** What `order-change` tells: the order as the element shows it from now on. */
export interface OrderChange extends Cursor {
  state: State;
  data: Facts;
}

/**
 * `<order-status order="…" grant="…" cursor="epoch:version" url="https://…" lang="…">`, an order's state in plain words.
 *
 * `url` is the Ordercast server; where it is left out, the one that served this module. `cursor` says which version the
 * content between the tags shows already.
 */
export declare class OrderStatus extends HTMLElement {
  /** Gives a new grant when the old one has run out; null, where there is none any more. */
  refreshToken?: (stream: OrderStream) => Promise<string | null>;
  readonly stream: OrderStream | null;
}

declare global {
  interface HTMLElementTagNameMap {
    "order-status": OrderStatus;
  }
  interface HTMLElementEventMap {
    "order-change": CustomEvent<OrderChange>;
  }
}

// A shop's program, compiled and never run: what it may write, and what the types must refuse.
import { OrderStream, type Cursor, type Snapshot, type State } from "ordercast";
import type { OrderStatus } from "ordercast/order-status";

const cursor: Cursor = { epoch: "one", version: 3 };
const stream = new OrderStream({
  url: "https://pay.example.com",
  order: "0".repeat(32),
  cursor,
  grant: "a grant",
  refreshToken: async (each) => (each.grant ? `${each.order} again` : null),
});
stream.addEventListener("event", ({ detail }) => {
  const state: State = detail.state;
  const version: number = detail.version;
  const received: number = detail.data.captured;
  console.log(state, version, received);
});
stream.addEventListener("snapshot", ({ detail }) => {
  const snapshot: Snapshot = detail;
  console.log(snapshot);
});
stream.addEventListener("status", ({ detail }) => {
  const code: number | undefined = detail?.code;
  console.log(stream.status === "live", stream.transport === "sse", code);
});
stream.close();

const element: OrderStatus | null = document.querySelector("order-status");
element?.addEventListener("order-change", ({ detail }) => console.log(detail.state, detail.data.total));
if (element) element.refreshToken = async () => null;

// @ts-expect-error: an order is needed
new OrderStream({ url: "https://pay.example.com" });
// @ts-expect-error: no such state
const wrong: State = "shipped";
// @ts-expect-error: nobody but the stream says where it stands
stream.version = 9;
// @ts-expect-error: no such event
stream.addEventListener("paid", ({ detail }) => console.log(detail));

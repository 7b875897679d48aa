// "My orders": every row on one socket.
import { OrderStream } from "./ordercast.js";
import { inLocalTime, isCancelling, shownAs, tell } from "./reading.js";

const page = JSON.parse(document.getElementById("page").textContent);

document.querySelectorAll("time").forEach((time) => inLocalTime(time));

for (const { order, cursor } of page.orders) {
  const row = document.querySelector(`[data-order="${order}"]`);
  let cancelling = row.dataset.cancelling === "true";
  const stream = new OrderStream({ url: location.origin, order, cursor });
  const show = () => {
    const pill = row.querySelector("[data-short]");
    const says = page.states[shownAs(stream.state, stream.data, cancelling)];
    if (!says) return;
    pill.textContent = says.short;
    pill.dataset.tone = says.tone;
  };
  stream.addEventListener("event", ({ detail }) => {
    cancelling = isCancelling(cancelling, detail);
    show();
  });
  stream.addEventListener("snapshot", show);
  // They share one connection: what the first says of it is true of all.
  if (order === page.orders[0].order) stream.addEventListener("status", () => tell(stream.status, page.connection));
}

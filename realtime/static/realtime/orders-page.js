// "My orders": every row on one socket.
import { inLocalTime } from "./local-time.js";
import { OrderStream } from "./ordercast.js";

const page = JSON.parse(document.getElementById("page").textContent);

document.querySelectorAll("time").forEach(inLocalTime);

for (const { order, cursor } of page.orders) {
  const stream = new OrderStream({ url: location.origin, order, cursor });
  const show = () => {
    const pill = document.querySelector(`[data-order="${order}"] [data-short]`);
    const says = page.states[stream.state];
    if (!says) return;
    pill.textContent = says.short;
    pill.dataset.tone = says.tone;
  };
  stream.addEventListener("event", show);
  stream.addEventListener("snapshot", show);
}

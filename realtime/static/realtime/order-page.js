// The order page goes on by itself from the version that the server has rendered, by the server's own words.
import { OrderStream } from "./ordercast.js";
import { inLocalTime, isCancelling, loadAnew, shownAs, tell, timeLeft, written } from "./reading.js";
import { takeRefund } from "./refunds.js";

const ANNOUNCE_AFTER = 1000; // ms of quiet before a screen reader hears where the order has got to
const LOAD_AGAIN = 5_000; // ms until a page that could not be had is asked for again
const LONGEST_TIMER = 2 ** 31 - 1; // ms
const LOOK_AT_CLOCK = 20_000; // ms between two looks at how long there still is to pay

let page, root;
let announcing, loading, ending;

const one = (selector) => root.querySelector(selector);
const show = (element, is) => element && (element.hidden = !is);

function element(tag, className, textContent) {
  return Object.assign(document.createElement(tag), { className, textContent });
}

function timeAt(at) {
  const time = Object.assign(document.createElement("time"), { dateTime: at });
  inLocalTime(time);
  return time;
}

function showState(state, data) {
  const says = page.states[shownAs(state, data, page.is_cancelling, page.is_overdue)];
  if (!says) return; // a newer server's word: the next load of the page knows it
  root.dataset.state = state;
  root.dataset.tone = says.tone;
  one("[data-headline]").textContent = says.headline;
  one("[data-next]").textContent = says.next;
  document.title = document.title.replace(/^.* · /, () => `${says.headline} · `);
  one("[data-action]").textContent = page.actions[says.action] ?? "";
  show(one("[data-pay]"), says.action);
  show(one("[data-note=review]"), data.needs_review);
  showSteps(says);
  for (const row of root.querySelectorAll("[data-amount]")) {
    const amount = data[row.dataset.amount];
    row.querySelector("dd").textContent = amount ? written(amount, page.money) : "";
    show(row, amount);
  }
  show(one("[data-receipt]"), data.captured);
}

function showSteps(says) {
  show(one("[data-steps]"), says.step);
  for (const item of root.querySelectorAll("[data-step]")) {
    const number = Number(item.dataset.step);
    const here = says.tone === "bad" ? "problem" : "now";
    item.dataset.status = number === says.step ? here : number < says.step ? "done" : "ahead";
    item.toggleAttribute("aria-current", number === says.step);
    if (number === says.step) item.setAttribute("aria-current", "step");
  }
}

function addToTimeline({ event, version, data, at }) {
  const says = page.events[event];
  if (!says || one(`[data-timeline] [data-version="${version}"]`)) return;
  const item = document.createElement("li");
  item.className = "new";
  Object.assign(item.dataset, { version, tone: says.tone });
  const more = element("span", "detail", detail(says, data));
  more.toggleAttribute("data-reason", says.detail === "code");
  item.append(element("span", "title", says.title), " ", more, " ", timeAt(at));
  one("[data-timeline]").prepend(item);
}

function detail(says, data) {
  if (says.detail === "code") return page.failures[data.code] ?? "";
  return says.detail in data ? written(data[says.detail], page.money) : "";
}

function showRefunds() {
  const lines = page.refunded.map(({ amount, state, at }) => {
    const line = document.createElement("li");
    line.dataset.refund = state;
    line.append(element("span", "number", written(amount, page.money)), element("span", "pill", page.refunds[state]), timeAt(at));
    return line;
  });
  one("[data-refund-list]").replaceChildren(...lines);
  show(one("[data-refunds]"), lines.length);
}

// Several events often come at once; only where they end is worth interrupting anyone for.
function announce() {
  clearTimeout(announcing);
  announcing = setTimeout(() => {
    say(`${one("[data-headline]").textContent}. ${one("[data-next]").textContent}`);
  }, ANNOUNCE_AFTER);
}

function say(text) {
  one("[data-announce]").textContent = text;
}

function take({ detail: event }) {
  page.is_cancelling = isCancelling(page.is_cancelling, event);
  showState(event.state, event.data);
  addToTimeline(event);
  if (takeRefund(page.refunded, event)) showRefunds();
  root.dataset.version = event.version;
  announce();
}

// The history that this page shows is no longer the journal's: the server renders it anew.
async function begin() {
  clearTimeout(loading);
  let fresh;
  try {
    fresh = await loadAnew("order");
  } catch {
    loading = setTimeout(begin, LOAD_AGAIN);
    return;
  }
  root.replaceWith(document.adoptNode(fresh.getElementById("order")));
  document.title = fresh.title;
  prepare(JSON.parse(fresh.getElementById("page").textContent));
  announce();
}

// What the server has rendered is put into the reader's own zone, and gets what only a script can do.
function prepare(rendered) {
  page = rendered;
  root = document.getElementById("order");
  root.querySelectorAll("time").forEach((time) => inLocalTime(time));
  showTimeLeft();
  clearTimeout(ending);
  // How long there is left is the server's word: this machine's clock may be wrong.
  if (page.pay_left) ending = setTimeout(begin, Math.min(page.pay_left + 500, LONGEST_TIMER));
  const copy = one("[data-copy]");
  show(copy, navigator.clipboard); // only where the page came over HTTPS, or from this machine
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(page.order);
    copy.textContent = page.copied;
    say(page.copied);
  });
}

function showTimeLeft() {
  const place = one("[data-left]");
  const left = place && timeLeft(place.previousElementSibling.dateTime);
  if (place) place.textContent = left && `(${left})`;
}

prepare(JSON.parse(document.getElementById("page").textContent));
setInterval(showTimeLeft, LOOK_AT_CLOCK);
// Paper does not know on which day it will be read.
for (const [name, isFull] of [["beforeprint", true], ["afterprint", false]]) {
  window.addEventListener(name, () => root.querySelectorAll("time").forEach((time) => inLocalTime(time, isFull)));
}
const stream = new OrderStream({ url: location.origin, order: page.order, cursor: page.cursor, own: true });
stream.addEventListener("event", take);
stream.addEventListener("snapshot", begin);
stream.addEventListener("status", () => tell(stream.status, page.connection));
tell(stream.status, page.connection);

// The order page goes on by itself from the version that the server has rendered, by the server's own words.
import { inLocalTime } from "./local-time.js";
import { OrderStream } from "./ordercast.js";

const ANNOUNCE_AFTER = 1000; // ms of quiet before a screen reader hears where the order has got to
const QUIET_FOR = 1500; // ms that a connection may be gone before the page says so

let page, root;
let announcing, telling;

const one = (selector) => root.querySelector(selector);
const show = (element, is) => element && (element.hidden = !is);

function written(amount) {
  const { digits, decimal, group, before, after } = page.money;
  const figures = String(Math.abs(amount)).padStart(digits + 1, "0");
  const whole = figures.slice(0, figures.length - digits).replace(/\B(?=(\d{3})+$)/g, group);
  const rest = digits ? decimal + figures.slice(-digits) : "";
  return (amount < 0 ? "−" : "") + before + whole + rest + after;
}


function showState(state, data) {
  const says = page.states[page.is_cancelling ? "cancelling" : state];
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
    row.querySelector("dd").textContent = amount ? written(amount) : "";
    show(row, amount);
  }
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
  const part = (tag, name, text) => Object.assign(document.createElement(tag), { className: name, textContent: text });
  const time = Object.assign(document.createElement("time"), { dateTime: at });
  inLocalTime(time);
  const more = part("span", "detail", detail(says, data));
  more.toggleAttribute("data-reason", says.detail === "code");
  item.append(part("span", "title", says.title), " ", more, " ", time);
  one("[data-timeline]").prepend(item);
}

function detail(says, data) {
  if (says.detail === "code") return page.failures[data.code] ?? "";
  return says.detail in data ? written(data[says.detail]) : "";
}

// Several events often come at once; only where they end is worth interrupting anyone for.
function announce() {
  clearTimeout(announcing);
  announcing = setTimeout(() => {
    one("[data-announce]").textContent = `${one("[data-headline]").textContent}. ${one("[data-next]").textContent}`;
  }, ANNOUNCE_AFTER);
}

const UNPAID = new Set(["created", "awaiting_payment", "processing", "authorised", "failed"]);

function take({ detail: event }) {
  page.is_cancelling = (page.is_cancelling || event.event === "order.cancellation_requested") && UNPAID.has(event.state);
  showState(event.state, event.data);
  addToTimeline(event);
  root.dataset.version = event.version;
  announce();
}

// The history that this page shows is no longer the journal's: the server renders it anew.
async function begin() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return location.reload();
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  root.replaceWith(document.adoptNode(fresh.getElementById("order")));
  document.title = fresh.title;
  page = JSON.parse(fresh.getElementById("page").textContent);
  root = document.getElementById("order");
  root.querySelectorAll("time").forEach(inLocalTime);
  announce();
}

function tell(status) {
  clearTimeout(telling);
  const place = document.querySelector("[data-connection]");
  const say = () => {
    place.dataset.connection = status;
    place.querySelector("[data-connection-text]").textContent = page.connection[status];
    place.hidden = status === "connecting";
  };
  // A connection that is back at once was never worth a word.
  if (status === "reconnecting" || status === "connecting") telling = setTimeout(say, QUIET_FOR);
  else say();
}

page = JSON.parse(document.getElementById("page").textContent);
root = document.getElementById("order");
root.querySelectorAll("time").forEach(inLocalTime);
const stream = new OrderStream({ url: location.origin, order: page.order, cursor: page.cursor, grant: page.grant });
stream.addEventListener("event", take);
stream.addEventListener("snapshot", begin);
stream.addEventListener("status", () => tell(stream.status));
tell(stream.status);

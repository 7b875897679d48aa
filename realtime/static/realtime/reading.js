// What the pages do for their reader: times in the reader's own zone, sums of money, where an order stands, and how the
// connection is. The same rules as the server's (`order_view.py`, `orders/domain/money.py`).

const QUIET_FOR = 1500; // ms that a connection may be gone before the page says so
const NEAR = 60 * 60_000; // ms before a deadline from when on the minutes are counted

const page = document.documentElement.lang;
// The page's language in the reader's own manner: en-GB where the page is "en".
const lang = navigator.languages.find((each) => each.split("-")[0] === page.split("-")[0]) ?? page;
const CLOSED = new Set(["cancelled", "expired"]);
const EXPIRING = new Set(["created", "awaiting_payment", "failed"]);
let telling;

/** Today's times are short ones, unless `isFull`: paper does not know when it will be read. */
export function inLocalTime(time, isFull = time.classList.contains("full")) {
  const at = new Date(time.dateTime);
  const isToday = at.toDateString() === new Date().toDateString();
  const near = isToday ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
  const full = { dateStyle: "long", timeStyle: "long" };
  time.textContent = new Intl.DateTimeFormat(lang, isFull ? full : near).format(at);
  time.title = new Intl.DateTimeFormat(lang, { dateStyle: "full", timeStyle: "long" }).format(at);
}

/** "in 23 minutes" within the last hour before `at`, and nothing before and after. */
export function timeLeft(at) {
  const left = new Date(at) - Date.now();
  if (left <= 0 || left > NEAR) return "";
  return new Intl.RelativeTimeFormat(lang).format(Math.ceil(left / 60_000), "minute");
}

export function written(amount, { digits, decimal, group, before, after }) {
  const figures = String(Math.abs(amount)).padStart(digits + 1, "0");
  const whole = figures.slice(0, figures.length - digits).replace(/\B(?=(\d{3})+$)/g, group);
  const rest = digits ? decimal + figures.slice(-digits) : "";
  return (amount < 0 ? "−" : "") + before + whole + rest + after;
}

/** Under which name the words have it: the state, unless something about it concerns the customer more. */
export function shownAs(state, data, isCancelling, isOverdue = false) {
  if (isCancelling) return "cancelling";
  if (isOverdue && EXPIRING.has(state)) return "overdue";
  if (CLOSED.has(state) && data.captured) return data.refunded >= data.captured ? "returned" : "late";
  return state;
}

const UNPAID = new Set(["created", "awaiting_payment", "processing", "authorised", "failed"]);

export function isCancelling(was, { event, state }) {
  return (was || event === "order.cancellation_requested") && UNPAID.has(state);
}

const LOAD_WITHIN = 15_000; // ms

/**
 * The page as the server has it now, with the element `id` in it. Whatever else is answered may be a proxy's word while
 * the server is restarted: this throws, and the page that is open stays. Only another page of ours (a log-in, "we cannot
 * show this order") takes its place.
 */
export async function loadAnew(id) {
  const signal = AbortSignal.timeout(LOAD_WITHIN);
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal });
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (answer.ok && fresh.getElementById(id)) return fresh;
  const isFinal = answer.redirected ? answer.ok : answer.status < 500;
  if (isFinal && fresh.querySelector("meta[name=generator][content=Ordercast]")) location.reload();
  throw new Error(`HTTP ${answer.status}`);
}

export function tell(status, words) {
  clearTimeout(telling);
  const place = document.querySelector("[data-connection]");
  const say = () => {
    place.dataset.connection = status;
    place.querySelector("[data-connection-text]").textContent = words[status];
    place.hidden = status === "connecting";
  };
  // A connection that is back at once was never worth a word.
  if (status === "reconnecting" || status === "connecting") telling = setTimeout(say, QUIET_FOR);
  else say();
}

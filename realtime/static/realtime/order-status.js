// <order-status order="…" grant="…">: where one order stands, live and in plain words, in any page of any site.
// All elements of a page share one socket. The words come from the server (`GET /api/words`), where the pages have theirs.
import { OrderStream } from "./ordercast.js";
import { isCancelling, shownAs, written } from "./reading.js";

const ANNOUNCE_AFTER = 1_000; // ms of quiet before a screen reader hears where the order has got to
const QUIET_FOR = 1_500; // ms that a connection may be gone before the element says so
const ASK_AGAIN = 5_000; // ms until words that could not be had are asked for again
const HOME = new URL(import.meta.url).origin; // the server that this module came from

const STYLE = `
:host { display: block; --_card: #fff; --_ink: #16181d; --_quiet: #565c69; --_line: #dfe2e8;
  --_wait: #b45309; --_busy: #1d4ed8; --_good: #15803d; --_bad: #b91c1c; --_over: #565c69; }
:host([hidden]), [hidden] { display: none !important; }
@supports (color: light-dark(#000, #fff)) {
  :host { --_card: light-dark(#fff, #171a20); --_ink: light-dark(#16181d, #eceef2); --_quiet: light-dark(#565c69, #a1a8b5);
    --_line: light-dark(#dfe2e8, #3a404c); --_wait: light-dark(#b45309, #fbbf24); --_busy: light-dark(#1d4ed8, #7cb0ff);
    --_good: light-dark(#15803d, #4ade80); --_bad: light-dark(#b91c1c, #fb8a8a); --_over: light-dark(#565c69, #a1a8b5); }
}
[part~=card] { --_tone: var(--_over); display: grid; gap: .5em; padding: 1.25em; border-radius: var(--order-status-radius, .75em);
  border: 1px solid var(--order-status-line, var(--_line));
  background: var(--order-status-background, var(--_card)); color: var(--order-status-color, var(--_ink));
  font: var(--order-status-font, inherit); line-height: 1.45; overflow-wrap: anywhere; }
[part~=wait] { --_tone: var(--_wait); } [part~=busy] { --_tone: var(--_busy); } [part~=good] { --_tone: var(--_good); }
[part~=bad] { --_tone: var(--_bad); }
p, ol { margin: 0; padding: 0; }
[part~=headline] { font-size: 1.2em; font-weight: 650; color: var(--order-status-tone, var(--_tone)); }
[part~=amount] { font-size: 1.1em; font-variant-numeric: tabular-nums; unicode-bidi: isolate; }
[part~=next], [part~=connection] { color: var(--order-status-quiet, var(--_quiet)); font-size: .9em; }
[part~=steps] { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: .4em; list-style: none; font-size: .8em; }
[part~=step] { padding-top: .4em; border-top: .25em solid var(--order-status-line, var(--_line));
  color: var(--order-status-quiet, var(--_quiet)); transition: border-color .3s; }
[part~=reached] { border-color: var(--order-status-tone, var(--_tone)); }
[part~=here] { color: inherit; font-weight: 650; }
[part~=connection]::before { content: ""; display: inline-block; width: .55em; height: .55em; margin-inline-end: .45em; border-radius: 50%;
  background: var(--_over); }
[part~=live]::before { background: var(--_good); }
[part~=problem] { color: var(--_bad); font-size: .9em; }
.heard { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
@media (forced-colors: active) { [part~=reached] { border-color: Highlight; } }`;

const BODY = `<div part="card" hidden><p part="headline"></p><p part="amount"></p><p part="next"></p>
<ol part="steps"></ol><p part="connection" hidden></p></div><slot></slot><p part="problem" hidden></p><p class="heard" role="status" aria-live="polite"></p>`;

const style = new CSSStyleSheet(); // a style element would need the page's Content-Security-Policy to allow it
style.replaceSync(STYLE);
const tables = new Map(); // words by their address, asked for once for all elements of a page

function wordsAt(address) {
  if (!tables.has(address)) {
    const asking = fetch(address, { credentials: "omit" }).then((answer) => (answer.ok ? answer.json() : Promise.reject(answer.status)));
    asking.catch(() => tables.delete(address));
    tables.set(address, asking);
  }
  return tables.get(address);
}

/** Shows its order from the first thing it hears; what stands inside the tags is shown until then. */
export class OrderStatus extends HTMLElement {
  static observedAttributes = ["order", "cursor", "grant", "url", "lang"];

  /** Gives a new grant when the old one has run out; without it the element stops then. */
  refreshToken;
  stream = null;
  #words;
  #drawn = 0; // a later drawing overtakes one that still waits for its words
  #isCancelling = false;
  #isDue = false;
  #isExplained = false;
  #timers = {};

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = BODY;
    root.adoptedStyleSheets = [style];
  }

  connectedCallback() {
    this.#restart();
  }

  disconnectedCallback() {
    this.stream?.close();
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
  }

  attributeChangedCallback() {
    // What a script sets in one breath is one change.
    if (!this.isConnected || this.#isDue) return;
    this.#isDue = true;
    queueMicrotask(() => ((this.#isDue = false), this.isConnected && this.#restart()));
  }

  get #base() {
    return (this.getAttribute("url") ?? HOME).replace(/\/+$/, "");
  }

  get #language() {
    return this.closest("[lang]")?.lang || this.ownerDocument.documentElement.lang || navigator.language;
  }

  /** Where to begin: where this element stands, or what the page has put between its tags. */
  #cursor(order) {
    if (this.stream?.order === order && this.stream.state) return this.stream.cursor;
    const [, epoch, version] = this.getAttribute("cursor")?.match(/^(.+):(\d+)$/) ?? [];
    return epoch && this.textContent.trim() ? { epoch, version: Number(version) } : undefined;
  }

  #restart() {
    const order = this.getAttribute("order");
    const cursor = this.#cursor(order);
    const before = this.stream;
    if (!order) return before?.close();
    const stream = new OrderStream({
      url: this.#base,
      order,
      cursor,
      grant: this.getAttribute("grant") || undefined,
      refreshToken: (each) => this.refreshToken?.(each),
    });
    // What was known stays on show until something newer comes. The old one goes last, so that the socket stays.
    if (before?.order === order) Object.assign(stream, { state: before.state, data: before.data });
    else this.#isCancelling = false;
    before?.close();
    this.stream = stream;
    stream.addEventListener("event", ({ detail }) => this.#take(stream, detail));
    stream.addEventListener("snapshot", ({ detail }) => this.#take(stream, detail));
    stream.addEventListener("status", () => this.#tell(stream));
    if (stream.state) this.#draw(stream);
  }

  #take(stream, frame) {
    if (stream !== this.stream) return;
    this.#isCancelling = isCancelling(this.#isCancelling, frame);
    this.#draw(stream);
    const { epoch, version, state, data } = stream;
    this.dispatchEvent(new CustomEvent("order-change", { bubbles: true, composed: true, detail: { epoch, version, state, data } }));
  }

  async #draw(stream) {
    const turn = ++this.#drawn;
    const query = new URLSearchParams({ lang: this.#language, currency: stream.data.currency });
    try {
      this.#words = await wordsAt(`${this.#base}/api/words?${query}`);
    } catch {
      this.#later("words", ASK_AGAIN, () => stream === this.stream && this.#draw(stream));
      return;
    }
    if (turn === this.#drawn && this.isConnected) this.#show(stream);
  }

  #part(name) {
    return this.shadowRoot.querySelector(`[part~=${name}]`);
  }

  #show({ state, data }) {
    const words = this.#words;
    const says = words.states[shownAs(state, data, this.#isCancelling)];
    if (!says) return; // a newer server's word
    const isFirst = this.#part("card").hidden;
    this.#part("problem").hidden = true;
    Object.assign(this.#part("card"), { hidden: false, lang: words.lang, dir: words.dir });
    this.shadowRoot.querySelector("slot").hidden = true;
    this.#part("card").setAttribute("part", `card ${says.tone}`);
    this.#part("headline").textContent = says.headline;
    this.#part("next").textContent = says.next;
    this.#part("amount").textContent = written(data.total, words.money);
    this.#showSteps(says, words);
    this.#tell(this.stream);
    if (!isFirst) this.#later("announce", ANNOUNCE_AFTER, () => this.#announce(says));
  }

  #showSteps(says, words) {
    const steps = this.#part("steps");
    steps.hidden = !says.step;
    steps.setAttribute("aria-label", words.progress);
    const items = words.steps.map((label, at) => {
      const item = Object.assign(document.createElement("li"), { textContent: label });
      const isHere = at + 1 === says.step;
      item.setAttribute("part", `step ${at < says.step ? "reached" : "ahead"} ${isHere ? "here" : ""}`.trim());
      if (isHere) item.setAttribute("aria-current", "step");
      return item;
    });
    steps.replaceChildren(...items);
  }

  #announce({ headline, next }) {
    const place = this.shadowRoot.querySelector(".heard");
    place.lang = this.#words.lang;
    place.textContent = `${headline}. ${next}`;
  }

  /** Nothing comes, also not a reason: a browser tells none. The server says whether it is that this site is not named. */
  async #explain() {
    this.#isExplained = true;
    const query = new URLSearchParams({ lang: this.#language });
    try {
      const answer = await fetch(`${this.#base}/api/words?${query}`, { credentials: "omit" });
      const { code, detail } = answer.status === 403 ? await answer.json() : {};
      if (code !== "foreign_origin") return;
      console.error(`<order-status>: ${detail}`);
      Object.assign(this.#part("problem"), { hidden: false, textContent: detail });
    } catch {} // the server is away: that is no reason yet
  }

  #tell(stream) {
    if (stream === this.stream && stream.status === "reconnecting" && !stream.state && !this.#isExplained) this.#explain();
    if (stream !== this.stream || !this.#words) return;
    const { status } = stream;
    const isPassing = status === "connecting" || status === "reconnecting";
    this.#later("connection", isPassing ? QUIET_FOR : 0, () => {
      const place = this.#part("connection");
      place.hidden = false;
      place.setAttribute("part", `connection ${status}`);
      place.textContent = this.#words.connection[status];
    });
  }

  #later(name, ms, then) {
    clearTimeout(this.#timers[name]);
    if (ms) this.#timers[name] = setTimeout(then, ms);
    else then();
  }
}

if (!customElements.get("order-status")) customElements.define("order-status", OrderStatus);

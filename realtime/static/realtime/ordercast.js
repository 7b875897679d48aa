// Watches orders of an Ordercast server: each version of an order exactly once, in order, over the best way there is.
// WebSocket first, then server-sent events, then polling; from each of them back up again. No dependency, no build.

const RUNGS = ["websocket", "sse", "polling"];
const BACKOFF = [500, 20_000]; // ms, full jitter
const OPEN_WITHIN = 8_000; // ms for a connection to say its first word
const SILENCE = 40_000; // ms without a sign of life, until the server names its own heartbeat
const POLL_EVERY = 5_000; // ms
const CLIMB_AFTER = [30_000, 600_000]; // ms on a lower rung before the top one is tried again
const SLEEP_AFTER = 60_000; // ms hidden
const STREAMS_BY_SSE = 4; // a browser opens six connections to a host over HTTP/1.1
const TAIL = 300; // events that the server gives at most
const SUBSCRIBE_AT_ONCE = 20; // of no more, each that is refused is named
const CROWDED = [20_000, 300_000]; // ms to stay away where there are too many, longer each time
const EXPIRED = 4005;
const TOO_MANY = 4009;
const OURS = 1011;
const STOP = new Set([4001, 4003, 4400]);
// Whatever else is refused may be a proxy's word: try again.
const CODE_OF = {
  unauthenticated: 4001, bad_token: 4003, token_revoked: 4003, forbidden: 4003, order_not_found: 4003, token_expired: EXPIRED, invalid_request: 4400,
};

/** One order, as it stands and as it moves. */
export class OrderStream extends EventTarget {
  #line;

  constructor({ url, order, cursor, grant, token, refreshToken, own }) {
    super();
    Object.assign(this, { order, grant, refreshToken, tries: 0 });
    this.epoch = cursor?.epoch;
    this.version = cursor?.version ?? 0;
    this.state = this.data = null;
    this.status = "connecting";
    const base = (url ?? globalThis.location.origin).replace(/\/+$/, "");
    this.#line = lineTo(base, token, grant ? undefined : refreshToken, own ? order : "");
    this.#line.add(this);
  }

  get cursor() {
    return { epoch: this.epoch, version: this.version };
  }

  get transport() {
    return this.#line.transport;
  }

  close() {
    if (this.status === "stopped") return;
    this.#line.remove(this);
    become(this, "stopped");
  }
}

function emit(stream, name, detail) {
  stream.dispatchEvent(new CustomEvent(name, { detail }));
}

function become(stream, status, detail) {
  if (stream.status === status) return;
  stream.status = status;
  emit(stream, "status", detail);
}

function backoff(failures) {
  return Math.random() * Math.min(BACKOFF[1], BACKOFF[0] * 2 ** failures);
}

/** Apply a frame. False where it does not follow on what the stream holds: then the stream must be asked for anew. */
function take(stream, frame) {
  if (frame.type === "event") {
    if (frame.epoch !== stream.epoch || frame.version > stream.version + 1) return false;
    if (frame.version <= stream.version) return true; // seen
    Object.assign(stream, { version: frame.version, state: frame.state, data: frame.data });
    emit(stream, "event", frame);
    return true;
  }
  if (frame.mode === "snapshot") {
    // Also an older one: whoever holds a version that the journal has not got yet, begins anew.
    const isNew = frame.epoch !== stream.epoch || frame.version !== stream.version;
    Object.assign(stream, { epoch: frame.epoch, version: frame.version, state: frame.state, data: frame.data });
    if (isNew) emit(stream, "snapshot", frame);
  }
  return (frame.events ?? []).every((event) => take(stream, event));
}

const lines = new Map();

function lineTo(base, token, refreshToken, own) {
  const name = `${base} ${own || token || ""}`;
  if (!lines.has(name)) lines.set(name, new Line(base, token, own));
  const line = lines.get(name);
  line.refreshToken ??= refreshToken;
  return line;
}

/** What all streams of one server and one token share: one connection, and the patience to keep it. */
class Line {
  streams = new Set();
  transport = null;
  refreshToken;
  tries = 0;
  #base;
  #own; // the order whose own socket this is
  #ride = null; // AbortController of the connection that is up, or being tried
  #socket = null; // only once it is open
  #later = new Set();
  #wanted = new Set(); // what is asked for in one breath goes out in one frame
  #wake = () => {};
  #rung = 0;
  #failed = 0; // in a row on this rung
  #failures = 0; // in a row on all
  #crowded = 0; // how often in a row there were too many
  #climbAfter = CLIMB_AFTER[0];
  #hasHadSocket = false;
  #isRunning = false;
  #isAsleep = false;
  #hidden = null;

  constructor(base, token, own) {
    this.#base = base;
    this.#own = own;
    this.token = token;
    this.listeners = [
      [globalThis.document, "visibilitychange", () => this.#onVisibility()],
      [globalThis.window, "online", () => this.#reconnectNow()],
      [globalThis.window, "offline", () => this.#ride?.abort("offline")],
      // A page that is put away keeps no socket, so that it can come back as it was.
      [globalThis.window, "pagehide", () => this.#fallAsleep()],
      [globalThis.window, "pageshow", () => this.#wakeUp()],
    ];
  }

  add(stream) {
    this.streams.add(stream);
    if (this.#isRunning) this.#join(stream);
    else this.#run();
  }

  remove(stream) {
    this.streams.delete(stream);
    const isWatched = [...this.streams].some((other) => other.order === stream.order);
    this.#endIfIdle();
    if (!isWatched) this.#send({ type: "unsubscribe", orders: [stream.order] });
  }

  /** Take a stream into the connection that is there, if there is one. */
  #join(stream) {
    if (this.#socket) this.#want(stream);
    else if (this.#rung) this.#ride?.abort("more");
    this.#wake();
  }

  /** Those that have, as far as is known, the right to see. */
  get #ready() {
    return [...this.streams].filter((stream) => !this.#holder(stream).renewing);
  }

  async #run() {
    this.#isRunning = true;
    for (const [target, name, heard] of this.listeners) target?.addEventListener(name, heard);
    if (globalThis.document?.hidden) this.#onVisibility();
    await null;
    while (this.streams.size) {
      await this.#rest();
      if (!this.streams.size) break;
      const end = await this.#try();
      if (!this.streams.size) break;
      const wait = this.#after(end);
      if (wait && this.streams.size) await this.#sleep(wait);
    }
    clearTimeout(this.#hidden);
    for (const [target, name, heard] of this.listeners) target?.removeEventListener(name, heard);
    this.#isRunning = false;
    for (const [name, line] of lines) if (line === this) lines.delete(name);
  }

  /** One connection from its beginning to its end: `{worked, code, wait, why}`. */
  async #try() {
    this.#ride = new AbortController();
    const { signal } = this.#ride;
    const rung = RUNGS[this.#rung];
    const climb = this.#rung ? setTimeout(() => this.#ride.abort("climb"), this.#climbAfter * (0.75 + Math.random() / 2)) : 0;
    const ended = { worked: false };
    const worked = (order) => {
      ended.worked = true;
      this.transport = rung;
      this.#failures = this.#failed = this.#crowded = this.tries = 0;
      this.#each((stream) => ((stream.tries = 0), become(stream, rung === "polling" ? "polling" : "live")), order);
    };
    try {
      Object.assign(ended, await this[rung](signal, worked));
    } catch (error) {
      Object.assign(ended, { code: error.code, stream: error.stream });
    }
    clearTimeout(climb);
    this.transport = null;
    return signal.aborted ? { ...ended, why: signal.reason } : ended;
  }

  /** What the end of a connection means; gives how long to wait before the next. */
  #after({ worked, code, wait, why, stream }) {
    if (why === "more" || why === "asleep") return 0;
    if (why === "climb") return (this.#climb(), 0);
    if (stream && (STOP.has(code) || code === EXPIRED)) return (this.#refuse(stream, code), 0);
    if (STOP.has(code)) return (this.#each((each) => this.#dismiss(each, code)), 0);
    this.#each((each) => become(each, "reconnecting"));
    if (code === EXPIRED) this.#renewAll();
    if (wait !== undefined) return wait;
    if (code === TOO_MANY) return Math.min(CROWDED[0] * 2 ** this.#crowded++, CROWDED[1]) * (0.5 + Math.random());
    if (worked && this.#rung === 0) this.#hasHadSocket = true;
    if (!worked && why !== "offline" && code !== EXPIRED) this.#descend();
    return backoff(this.#failures++);
  }

  #descend() {
    // A server that has spoken WebSocket before is more likely to be restarting than to have forgotten how.
    const patience = this.#rung === 0 && this.#hasHadSocket ? 6 : 2;
    if (++this.#failed < patience) return;
    this.#failed = 0;
    this.#rung = (this.#rung + 1) % RUNGS.length;
  }

  #climb() {
    this.#climbAfter = Math.min(this.#climbAfter * 2, CLIMB_AFTER[1]);
    this.#hasHadSocket = false;
    this.#failed = 1; // one try, and back down
    this.#rung = 0;
  }

  // Rights that run out

  /** Whose right a stream stands on: its own grant, or the token that it shares with others. */
  #holder(stream) {
    return stream.grant ? stream : this;
  }

  /** One stream may not be seen, or not now. The others are not concerned. */
  async #refuse(stream, code) {
    if (code === OURS) {
      become(stream, "reconnecting");
      if (!this.#later.size) setTimeout(() => this.#askAgain(), 1_000 + backoff(stream.tries++));
      this.#later.add(stream);
      return;
    }
    const holder = this.#holder(stream);
    if (code === EXPIRED) {
      become(stream, "reconnecting");
      holder.renewing ??= this.#renew(holder, stream);
      if (await holder.renewing) return this.streams.has(stream) && this.#join(stream);
    }
    this.#dismiss(stream, code);
  }

  /** The connection's own right has run out: its token; without one, all the grants that it had. */
  #renewAll() {
    const shared = [...this.streams].filter((stream) => !stream.grant);
    const expired = this.token ? shared : this.streams;
    if (this.token && !shared.length) this.token = undefined;
    for (const stream of [...expired]) this.#refuse(stream, EXPIRED);
  }

  async #renew(holder, stream) {
    const name = holder === this ? "token" : "grant";
    let fresh;
    while (!fresh && holder.refreshToken && this.streams.has(stream)) {
      // Whoever fails, or gives what is no good, is not asked without end.
      if (holder.tries++) await new Promise((resolve) => setTimeout(resolve, backoff(holder.tries - 2)));
      try {
        fresh = await holder.refreshToken(stream);
        if (!fresh) break;
      } catch {}
    }
    holder.renewing = null;
    holder[name] = fresh || undefined;
    if (fresh && holder === this) {
      lines.set(`${this.#base} ${fresh}`, this);
      this.#send({ type: "refresh", token: fresh });
    }
    return Boolean(fresh);
  }

  #dismiss(stream, code) {
    this.streams.delete(stream);
    become(stream, "stopped", { code });
    this.#endIfIdle();
  }

  #endIfIdle() {
    if (this.streams.size) return;
    this.#ride?.abort("closed");
    this.#wake();
  }

  #each(then, order) {
    for (const stream of [...this.streams]) if (!order || stream.order === order) then(stream);
  }

  websocket(signal, worked) {
    return new Promise((resolve) => {
      const [{ epoch, version }] = this.streams;
      const place = this.#own && `${this.#own}/${epoch ? `?epoch=${epoch}&version=${version}` : ""}`;
      const socket = new WebSocket(`${this.#base.replace(/^http/, "ws")}/ws/orders/${place}`, "orders.v1");
      let deaf;
      let silence = SILENCE;
      let leaving;
      const end = (result) => {
        clearTimeout(deaf);
        clearTimeout(leaving);
        socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
        this.#socket = null;
        socket.close();
        resolve(result);
      };
      const listen = (patience) => {
        clearTimeout(deaf);
        deaf = setTimeout(end, patience, {});
      };
      const hear = {
        welcome: (frame) => (silence = frame.heartbeat_ms * 2 + 5_000),
        ping: () => this.#send({ type: "ping" }),
        synced: (frame) => (worked(frame.order), this.#deliver(frame)),
        event: (frame) => this.#deliver(frame),
        error: ({ order, orders = order ? [order] : [], code }) => {
          for (const each of orders) this.#each((stream) => this.#refuse(stream, code), each);
        },
        draining: ({ within_ms }) => (leaving = setTimeout(end, Math.random() * within_ms, { wait: 1 })),
      };
      socket.onopen = () => {
        this.#socket = socket;
        this.#wanted.clear();
        if (!this.#own) this.#subscribe(this.#ready, { type: "hello", token: this.token });
      };
      socket.onmessage = ({ data }) => {
        if (data === "pong") return;
        const frame = JSON.parse(data);
        hear[frame.type]?.(frame);
        listen(silence);
      };
      socket.onclose = ({ code }) => end({ code });
      signal.addEventListener("abort", () => end({}), { once: true });
      listen(OPEN_WITHIN);
    });
  }

  #send(frame) {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(frame));
  }

  #askAgain() {
    for (const stream of this.#later) if (this.streams.has(stream)) this.#want(stream);
    this.#later.clear();
  }

  #want(stream) {
    if (!this.#wanted.size) queueMicrotask(() => (this.#subscribe([...this.#wanted]), this.#wanted.clear()));
    this.#wanted.add(stream);
  }

  #subscribe(streams, first = { type: "subscribe" }) {
    const wanted = new Map();
    for (const { order, epoch, version, grant } of streams) {
      const other = wanted.get(order);
      // Two elements may hold one order at different versions: ask from the older, and the other drops what it has.
      if (!other || version < other.version) wanted.set(order, epoch ? { order, epoch, version, grant } : { order, grant });
    }
    const all = [...wanted.values()].map((each) => ({ ...each, grant: each.grant || undefined }));
    for (let at = 0; at < all.length; at += SUBSCRIBE_AT_ONCE) {
      this.#send({ ...(at ? { type: "subscribe" } : first), subscribe: all.slice(at, at + SUBSCRIBE_AT_ONCE) });
    }
  }

  #deliver(frame) {
    this.#each((stream) => take(stream, frame) || this.#want(stream), frame.order);
  }

  // Server-sent events, by fetch: EventSource can neither send a token nor say why it failed.

  async sse(signal, worked) {
    const streams = this.#ready;
    if (streams.length > STREAMS_BY_SSE) return {};
    const all = new AbortController();
    signal.addEventListener("abort", () => all.abort(), { once: true });
    try {
      return await Promise.race(streams.map((stream) => this.#read(stream, all, worked)));
    } finally {
      all.abort();
    }
  }

  async #read(stream, all, worked) {
    let deaf = setTimeout(() => all.abort(), OPEN_WITHIN);
    try {
      const place = stream.epoch ? { "Last-Event-ID": `${stream.epoch}:${stream.version}` } : {};
      const answer = await this.#ask(stream, "/stream", { Accept: "text/event-stream", ...place }, all.signal);
      const text = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; ; ) {
        const { value, done } = await text.read();
        if (done) return {};
        clearTimeout(deaf);
        deaf = setTimeout(() => all.abort(), SILENCE);
        const blocks = (rest + value).split(/\r?\n\r?\n/);
        rest = blocks.pop();
        for (const block of blocks) {
          const data = block.match(/^data: ?(.*)$/m)?.[1];
          const frame = data && JSON.parse(data);
          if (frame?.type === "error") throw Object.assign(new Error(frame.message), { code: frame.code, stream });
          if (frame?.type === "draining") return { wait: Math.random() * frame.within_ms };
          if (frame?.type !== "event" && frame?.type !== "synced") continue;
          if (!take(stream, frame)) return { worked: true };
          worked(stream.order);
        }
      }
    } finally {
      clearTimeout(deaf);
    }
  }

  async polling(signal, worked) {
    while (!signal.aborted && this.streams.size) {
      for (const stream of this.#ready) {
        await this.#poll(stream, signal);
        worked(stream.order);
      }
      await this.#sleep(POLL_EVERY * (0.75 + Math.random() / 2), signal);
    }
    return {};
  }

  async #poll(stream, signal) {
    const held = stream.epoch ? { "If-None-Match": `"${stream.epoch}:${stream.version}"` } : {};
    const answer = await this.#ask(stream, "", held, signal);
    if (answer.status === 304) return;
    const now = await answer.json();
    if (!now.epoch) throw new Error();
    const missed = now.version - stream.version;
    if (now.epoch === stream.epoch && missed > 0 && missed <= TAIL) {
      const page = await (await this.#ask(stream, `/events?after=${stream.version}&limit=${TAIL}`, {}, signal)).json();
      for (const event of page.events) take(stream, { ...event, type: "event", order: stream.order, epoch: page.epoch });
    } else {
      take(stream, { ...now, type: "synced", mode: "snapshot", data: now });
    }
  }

  async #ask(stream, path, headers, signal) {
    const bearer = stream.grant || this.token;
    const answer = await fetch(`${this.#base}/api/orders/${stream.order}${path}`, {
      headers: bearer ? { ...headers, Authorization: `Bearer ${bearer}` } : headers,
      cache: "no-store",
      signal,
    });
    if (answer.ok || answer.status === 304) return answer;
    const isOurs = answer.headers.get("Content-Type")?.startsWith("application/problem+json");
    const code = answer.status === 429 ? TOO_MANY : isOurs && CODE_OF[(await answer.json().catch(() => ({}))).code];
    throw Object.assign(new Error(`HTTP ${answer.status}`), { code, stream });
  }

  #onVisibility() {
    clearTimeout(this.#hidden);
    if (document.hidden) this.#hidden = setTimeout(() => this.#fallAsleep(), SLEEP_AFTER);
    else this.#wakeUp();
  }

  #fallAsleep() {
    this.#isAsleep = true;
    this.#ride?.abort("asleep");
  }

  #wakeUp() {
    this.#isAsleep = false;
    this.#reconnectNow();
  }

  #reconnectNow() {
    this.#failures = 0;
    this.#wake();
  }

  /** As long as nobody looks, or nothing may be seen. */
  async #rest() {
    while (this.streams.size && (this.#isAsleep || !this.#ready.length)) {
      if (this.#isAsleep) this.#each((stream) => become(stream, "asleep"));
      await this.#sleep(2 ** 30);
    }
  }

  #sleep(ms, signal) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => (clearTimeout(timer), resolve());
      signal?.addEventListener("abort", this.#wake, { once: true });
    });
  }
}

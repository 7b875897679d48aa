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
const SUBSCRIBE_AT_ONCE = 100;
const STOP = new Set([4001, 4003, 4400]);
const CODE_OF = { 401: 4001, 403: 4003, 404: 4003, 422: 4400, 429: 4009 };

/** One order, as it stands and as it moves. */
export class OrderStream extends EventTarget {
  #line;

  constructor({ url, order, cursor, grant, token, refreshToken }) {
    super();
    this.order = order;
    this.grant = grant;
    this.epoch = cursor?.epoch;
    this.version = cursor?.version ?? 0;
    this.state = this.data = null;
    this.status = "connecting";
    this.#line = lineTo(url ?? globalThis.location.origin, token, refreshToken);
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
    const isNew = frame.epoch !== stream.epoch || frame.version > stream.version;
    Object.assign(stream, { state: frame.state, data: frame.data });
    if (isNew) {
      Object.assign(stream, { epoch: frame.epoch, version: frame.version });
      emit(stream, "snapshot", frame);
    }
  }
  return (frame.events ?? []).every((event) => take(stream, event));
}

const lines = new Map();

function lineTo(url, token, refreshToken) {
  const base = url.replace(/\/+$/, "");
  const key = `${base} ${token ?? ""}`;
  if (!lines.has(key)) lines.set(key, new Line(base, token, refreshToken, () => lines.delete(key)));
  return lines.get(key);
}

/** What all streams of one server and one token share: one connection, and the patience to keep it. */
class Line {
  streams = new Set();
  transport = null;
  #base;
  #token;
  #refreshToken;
  #forget;
  #ride = null; // AbortController of the connection that is up, or being tried
  #socket = null; // only once it is open
  #wake = () => {};
  #rung = 0;
  #failed = 0; // in a row on this rung
  #failures = 0; // in a row on all
  #climbAfter = CLIMB_AFTER[0];
  #hasHadSocket = false;
  #isRunning = false;
  #hidden = null;

  constructor(base, token, refreshToken, forget) {
    this.#base = base;
    this.#token = token;
    this.#refreshToken = refreshToken;
    this.#forget = forget;
    this.listeners = [
      [globalThis.document, "visibilitychange", () => this.#onVisibility()],
      [globalThis.window, "online", () => this.#hurry()],
      [globalThis.window, "offline", () => this.#ride?.abort("offline")],
      // A page that is put away keeps no socket, so that it can come back as it was.
      [globalThis.window, "pagehide", () => this.#ride?.abort("asleep")],
      [globalThis.window, "pageshow", () => this.#hurry()],
    ];
  }

  add(stream) {
    this.streams.add(stream);
    if (this.#socket) this.#subscribe([stream]);
    else if (this.#isRunning) this.#rung && this.#ride?.abort("more");
    else this.#run();
  }

  remove(stream) {
    this.streams.delete(stream);
    const isWatched = [...this.streams].some((other) => other.order === stream.order);
    if (!this.streams.size) this.#ride?.abort("closed"), this.#wake();
    else if (!isWatched) this.#send({ type: "unsubscribe", orders: [stream.order] });
  }

  async #run() {
    this.#isRunning = true;
    for (const [target, name, heard] of this.listeners) target?.addEventListener(name, heard);
    // What is made in one breath goes out in one frame.
    await null;
    while (this.streams.size) {
      await this.#awake();
      const end = await this.#try();
      if (!this.streams.size) break;
      const wait = await this.#after(end);
      if (wait && this.streams.size) await this.#sleep(wait);
    }
    for (const [target, name, heard] of this.listeners) target?.removeEventListener(name, heard);
    this.#isRunning = false;
    this.#forget();
  }

  /** One connection from its beginning to its end: `{worked, code, wait, why}`. */
  async #try() {
    this.#ride = new AbortController();
    const { signal } = this.#ride;
    const rung = RUNGS[this.#rung];
    const climb = this.#rung ? setTimeout(() => this.#ride.abort("climb"), this.#climbAfter * (0.75 + Math.random() / 2)) : 0;
    const ended = { worked: false };
    const worked = () => {
      ended.worked = true;
      this.transport = rung;
      this.#failures = this.#failed = 0;
      this.#each((stream) => become(stream, rung === "polling" ? "polling" : "live"));
    };
    try {
      Object.assign(ended, await this[rung](signal, worked));
    } catch (error) {
      ended.code = error.code;
    }
    clearTimeout(climb);
    this.transport = null;
    return signal.aborted ? { ...ended, why: signal.reason } : ended;
  }

  /** What the end of a connection means; gives how long to wait before the next. */
  async #after({ worked, code, wait, why }) {
    if (why === "more" || why === "asleep") return 0;
    if (why === "climb") return (this.#climb(), 0);
    if (STOP.has(code)) return this.#stop(code);
    if (!(await this.#hasToken(code))) return this.#stop(code);
    this.#each((stream) => become(stream, "reconnecting"));
    if (wait !== undefined) return wait;
    if (code === 4009) return BACKOFF[1] * (0.5 + Math.random());
    if (worked && this.#rung === 0) this.#hasHadSocket = true;
    if (!worked && why !== "offline") this.#descend();
    return Math.random() * Math.min(BACKOFF[1], BACKOFF[0] * 2 ** this.#failures++);
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

  async #hasToken(code) {
    if (code !== 4005) return true;
    try {
      this.#token = await this.#refreshToken();
      return Boolean(this.#token);
    } catch {
      return false;
    }
  }

  #stop(code) {
    this.#each((stream) => this.#dismiss(stream, code));
    return 0;
  }

  #dismiss(stream, code) {
    this.streams.delete(stream);
    become(stream, "stopped", { code });
  }

  #each(then, order) {
    for (const stream of [...this.streams]) if (!order || stream.order === order) then(stream);
  }

  // WebSocket

  websocket(signal, worked) {
    return new Promise((resolve) => {
      const socket = new WebSocket(`${this.#base.replace(/^http/, "ws")}/ws/orders/`, "orders.v1");
      let deaf;
      let silence = SILENCE;
      const end = (result) => {
        clearTimeout(deaf);
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
        synced: (frame) => (worked(), this.#deliver(frame)),
        event: (frame) => this.#deliver(frame),
        error: ({ order, code }) => order && this.#each((stream) => this.#dismiss(stream, code), order),
        draining: ({ within_ms }) => setTimeout(end, Math.random() * within_ms, { wait: 1 }),
      };
      socket.onopen = () => {
        this.#socket = socket;
        this.#subscribe([...this.streams], { type: "hello", token: this.#token });
      };
      socket.onmessage = ({ data }) => {
        if (data === "pong") return;
        const frame = JSON.parse(data);
        hear[frame.type]?.(frame);
        listen(silence);
        if (!this.streams.size) end({});
      };
      socket.onclose = ({ code }) => end({ code });
      signal.addEventListener("abort", () => end({}), { once: true });
      listen(OPEN_WITHIN);
    });
  }

  #send(frame) {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(frame));
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
    this.#each((stream) => take(stream, frame) || this.#subscribe([stream]), frame.order);
  }

  // Server-sent events, by fetch: EventSource can neither send a token nor say why it failed.

  async sse(signal, worked) {
    if (this.streams.size > STREAMS_BY_SSE) return {};
    const all = new AbortController();
    signal.addEventListener("abort", () => all.abort(), { once: true });
    try {
      return await Promise.race([...this.streams].map((stream) => this.#read(stream, all, worked)));
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
          if (frame?.type === "error") throw Object.assign(new Error(frame.message), { code: frame.code });
          if (frame?.type === "draining") return { wait: Math.random() * frame.within_ms };
          if (frame?.type !== "event" && frame?.type !== "synced") continue;
          if (!take(stream, frame)) return { worked: true };
          worked();
        }
      }
    } finally {
      clearTimeout(deaf);
    }
  }

  // Polling

  async polling(signal, worked) {
    while (!signal.aborted && this.streams.size) {
      for (const stream of [...this.streams]) await this.#poll(stream, signal);
      worked();
      await this.#sleep(POLL_EVERY * (0.75 + Math.random() / 2), signal);
    }
    return {};
  }

  async #poll(stream, signal) {
    const held = stream.epoch ? { "If-None-Match": `"${stream.epoch}:${stream.version}"` } : {};
    const answer = await this.#ask(stream, "", held, signal);
    if (answer.status === 304) return;
    const now = await answer.json();
    const missed = now.version - stream.version;
    if (now.epoch === stream.epoch && missed <= TAIL) {
      const page = await (await this.#ask(stream, `/events?after=${stream.version}&limit=${TAIL}`, {}, signal)).json();
      for (const event of page.events) take(stream, { ...event, type: "event", order: stream.order, epoch: page.epoch });
    } else {
      take(stream, { ...now, type: "synced", mode: "snapshot", data: now });
    }
  }

  async #ask(stream, path, headers, signal) {
    const bearer = stream.grant || this.#token;
    const answer = await fetch(`${this.#base}/api/orders/${stream.order}${path}`, {
      headers: bearer ? { ...headers, Authorization: `Bearer ${bearer}` } : headers,
      cache: "no-store",
      signal,
    });
    if (answer.ok || answer.status === 304) return answer;
    throw Object.assign(new Error(`HTTP ${answer.status}`), { code: CODE_OF[answer.status] });
  }

  // When to rest

  #onVisibility() {
    clearTimeout(this.#hidden);
    if (document.hidden) this.#hidden = setTimeout(() => this.#ride?.abort("asleep"), SLEEP_AFTER);
    else this.#hurry();
  }

  #hurry() {
    this.#failures = 0;
    this.#wake();
  }

  async #awake() {
    while (globalThis.document?.hidden && this.#ride?.signal.reason === "asleep" && this.streams.size) {
      this.#each((stream) => become(stream, "asleep"));
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

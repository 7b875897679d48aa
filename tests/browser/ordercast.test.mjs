// The browser client under Node's own runner: `node --test tests/browser/`. The wires are played here; that the real
// server speaks as they do is proved in a real browser (test_live_pages.py).
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { OrderStream } from "../../realtime/static/realtime/ordercast.js";

const A = "a".repeat(32);
const B = "b".repeat(32);
const C = "c".repeat(32);
const CURSOR = { epoch: "one", version: 1 };

let sockets, requests, answer, streams;

const denied = (code, order) => ({ type: "error", code, message: "no", order });
const synced = (version, more) => ({ type: "synced", order: A, epoch: "one", version, mode: "current", ...more });

class Socket {
  readyState = 0;
  sent = [];

  constructor(url, protocol) {
    Object.assign(this, { url, protocol });
    sockets.push(this);
  }

  open() {
    this.readyState = 1;
    this.onopen?.();
    this.says({ type: "welcome", heartbeat_ms: 20_000, silence_ms: 60_000 });
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  says(frame) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  ends(code = 1006) {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  close() {
    this.readyState = 3;
  }
}

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  mock.method(Math, "random", () => 0.5);
  [sockets, requests, streams] = [[], [], []];
  answer = () => Promise.reject(new TypeError("network"));
  globalThis.WebSocket = Socket;
  globalThis.fetch = (url, options) => (requests.push({ url, ...options }), answer(url, options));
});

afterEach(async () => {
  streams.forEach((stream) => stream.close());
  await settled();
  mock.timers.reset();
  mock.restoreAll();
  delete globalThis.document;
  delete globalThis.window;
});

async function settled() {
  for (let i = 0; i < 30; i++) await new Promise(setImmediate);
}

async function pass(ms) {
  mock.timers.tick(ms);
  await settled();
}

async function watch(options) {
  const stream = new OrderStream({ url: "https://shop.test", order: A, cursor: CURSOR, ...options });
  stream.heard = [];
  stream.addEventListener("event", ({ detail }) => stream.heard.push(detail.version));
  stream.addEventListener("snapshot", ({ detail }) => stream.heard.push(`snapshot ${detail.version}`));
  streams.push(stream);
  await settled();
  return stream;
}

async function live(options) {
  const stream = await watch(options);
  sockets.at(-1).open();
  sockets.at(-1).says({ type: "synced", order: A, epoch: "one", version: 1, mode: "current" });
  return stream;
}

const event = (version, more) => ({ type: "event", order: A, epoch: "one", version, event: "x", state: "paid", data: {}, ...more });
const answered = (status, type, body) =>
  Promise.resolve({ ok: status < 300, status, headers: new Headers({ "Content-Type": type }), json: async () => JSON.parse(body) });
const json = (body, status = 200) => answered(status, "application/json; charset=utf-8", JSON.stringify(body));
const problem = (status, code) => answered(status, "application/problem+json", JSON.stringify({ status, code }));

test("it says hello with the cursor and the grant, and is live once synced", async () => {
  const stream = await live({ grant: "g" });

  assert.equal(sockets[0].url, "wss://shop.test/ws/orders/");
  assert.equal(sockets[0].protocol, "orders.v1");
  assert.deepEqual(sockets[0].sent, [{ type: "hello", subscribe: [{ order: A, epoch: "one", version: 1, grant: "g" }] }]);
  assert.deepEqual([stream.status, stream.transport], ["live", "websocket"]);
});

test("each version is applied exactly once, however often it comes", async () => {
  const stream = await live();

  for (const version of [2, 2, 1, 3, 3, 2]) sockets[0].says(event(version));

  assert.deepEqual(stream.heard, [2, 3]);
  assert.deepEqual(stream.cursor, { epoch: "one", version: 3 });
});

test("a hole is never stepped over: it asks again from what it holds", async () => {
  const stream = await live();

  sockets[0].says(event(3));
  await settled();
  const asked = sockets[0].sent.at(-1);
  sockets[0].says({ type: "synced", order: A, epoch: "one", version: 3, mode: "tail", events: [event(2), event(3)] });

  assert.deepEqual(asked, { type: "subscribe", subscribe: [{ order: A, epoch: "one", version: 1 }] });
  assert.deepEqual(stream.heard, [2, 3]);
});

test("an event of another epoch is not taken", async () => {
  const stream = await live();

  sockets[0].says(event(2, { epoch: "two" }));
  await settled();

  assert.deepEqual(stream.heard, []);
  assert.equal(sockets[0].sent.at(-1).type, "subscribe");
});

test("a snapshot of another epoch replaces what it holds", async () => {
  const stream = await live();

  sockets[0].says({ type: "synced", order: A, epoch: "two", version: 1, mode: "snapshot", state: "paid", data: { captured: 5 } });

  assert.deepEqual(stream.heard, ["snapshot 1"]);
  assert.deepEqual([stream.epoch, stream.state, stream.data.captured], ["two", "paid", 5]);
});

test("after a loss it comes back from where it stood, within the backoff", async () => {
  const stream = await live();
  sockets[0].says(event(2));

  sockets[0].ends();
  await settled();
  const status = stream.status;
  await pass(249);
  const early = sockets.length;
  await pass(1);
  sockets[1].open();

  assert.deepEqual([status, early], ["reconnecting", 1]);
  assert.deepEqual(sockets[1].sent[0].subscribe, [{ order: A, epoch: "one", version: 2 }]);
});

test("the backoff doubles up to twenty seconds and begins anew once it worked", async () => {
  await live();
  const waits = [];
  for (let n = 0; n < 6; n++) {
    const before = sockets.length;
    sockets.at(-1).ends();
    await settled();
    let waited = 0;
    while (sockets.length === before) await pass(50), (waited += 50);
    waits.push(waited);
  }

  assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 8000]);
});

test("many streams share one socket", async () => {
  const a = await watch();
  const b = await watch({ order: B });
  sockets[0].open();
  const c = await watch({ order: "c".repeat(32) });

  assert.equal(sockets.length, 1);
  assert.deepEqual(sockets[0].sent.map((frame) => [frame.type, frame.subscribe.map((s) => s.order[0]).join("")]), [["hello", "ab"], ["subscribe", "c"]]);
  b.close();
  assert.deepEqual(sockets[0].sent.at(-1), { type: "unsubscribe", orders: [B] });
  a.close(), c.close();
  await settled();
  assert.equal(sockets[0].readyState, 3);
});

test("an order that may not be seen ends its own stream and no other", async () => {
  const a = await live();
  const b = await watch({ order: B });
  const codes = [];
  b.addEventListener("status", ({ detail }) => codes.push(detail?.code));

  sockets[0].says({ type: "error", code: 4003, message: "no", order: B });
  sockets[0].says(event(2));

  assert.deepEqual([a.status, b.status, codes], ["live", "stopped", [4003]]);
  assert.deepEqual(a.heard, [2]);
});

test("an order that the server cannot read now is asked for again, and no other", async () => {
  const a = await live();
  const b = await watch({ order: B });
  const c = await watch({ order: C });
  const before = sockets[0].sent.length;

  sockets[0].says(denied(1011, B));
  sockets[0].says(denied(1011, C));
  assert.deepEqual([a.status, b.status, c.status], ["live", "reconnecting", "reconnecting"]);
  await pass(10_000);

  const subscribe = [B, C].map((order) => ({ order, ...CURSOR }));
  assert.deepEqual(sockets[0].sent.slice(before), [{ type: "subscribe", subscribe }]);
  sockets[0].says(synced(1, { order: B }));
  assert.equal(b.status, "live");
});

test("what was wrong with the connection stops no order: the close code decides", async () => {
  const stream = await live();

  sockets[0].says({ type: "error", code: 4008, message: "too slow" });
  sockets[0].ends(4008);
  await settled();

  assert.equal(stream.status, "reconnecting");
});

for (const code of [4001, 4003, 4400]) {
  test(`close ${code} stops for good`, async () => {
    const stream = await live();

    sockets[0].ends(code);
    await pass(60_000);

    assert.equal(stream.status, "stopped");
    assert.equal(sockets.length, 1);
  });
}

test("a token that has run out is refreshed, and then it comes back", async () => {
  const stream = await live({ token: "old", refreshToken: async () => "new" });

  sockets[0].ends(4005);
  await settled();
  await pass(1_000);
  sockets[1].open();

  assert.deepEqual([sockets[0].sent[0].token, sockets[1].sent[0].token], ["old", "new"]);
  assert.notEqual(stream.status, "stopped");
});

test("a token that cannot be refreshed stops it", async () => {
  const stream = await live({ token: "old" });

  sockets[0].ends(4005);
  await settled();
  await pass(60_000);

  assert.equal(stream.status, "stopped");
});

test("it answers pings, and leaves a socket that has gone silent", async () => {
  await live();

  sockets[0].says({ type: "ping" });
  await pass(44_999);
  const before = sockets.length;
  await pass(1);
  await pass(250);

  assert.deepEqual(sockets[0].sent.at(-1), { type: "ping" });
  assert.deepEqual([before, sockets.length], [1, 2]);
});

test("a server that drains is left at a random moment within its time", async () => {
  await live();

  sockets[0].says({ type: "draining", within_ms: 10_000 });
  await pass(4_999);
  const before = sockets.length;
  await pass(1);
  await pass(1);

  assert.deepEqual([before, sockets.length], [1, 2]);
});

test("without WebSocket it goes down to server-sent events, and up again later", async () => {
  const frames = [`event: synced\ndata: ${JSON.stringify({ type: "synced", order: A, epoch: "one", version: 1, mode: "current" })}\n\n`, `id: one:2\nevent: event\ndata: ${JSON.stringify(event(2))}\n\n: ping\n\n`];
  answer = (url, { signal }) => {
    const body = new ReadableStream({
      start(controller) {
        for (const frame of frames) controller.enqueue(new TextEncoder().encode(frame));
        signal.addEventListener("abort", () => controller.error(signal.reason));
      },
    });
    return Promise.resolve({ ok: true, status: 200, body });
  };
  const stream = await watch({ grant: "g" });
  for (let n = 0; n < 2; n++) sockets[n].ends(), await settled(), await pass(1_000);

  assert.deepEqual([stream.status, stream.transport, stream.heard], ["live", "sse", [2]]);
  assert.equal(requests[0].url, `https://shop.test/api/orders/${A}/stream`);
  assert.equal(requests[0].headers.Authorization, "Bearer g");
  assert.equal(requests[0].headers["Last-Event-ID"], "one:1");

  await pass(30_000);
  sockets[2].open();
  sockets[2].says({ type: "synced", order: A, epoch: "one", version: 2, mode: "current" });
  assert.deepEqual([stream.transport, sockets[2].sent[0].subscribe[0].version], ["websocket", 2]);
});

test("where nothing streams it polls, asks only for what is new, and says so", async () => {
  answer = (url, { headers }) => {
    if (url.endsWith("/stream")) return json({}, 502);
    if (url.includes("/events?after=1")) return json({ epoch: "one", events: [event(2), event(3)] });
    return headers["If-None-Match"] === '"one:3"' ? json(null, 304) : json({ epoch: "one", version: 3, state: "paid" });
  };
  const stream = await watch();
  for (let n = 0; n < 2; n++) sockets[n].ends(), await settled(), await pass(2_000);
  for (let n = 0; n < 4; n++) await pass(2_000);

  assert.deepEqual([stream.status, stream.transport, stream.heard], ["polling", "polling", [2, 3]]);
});

test("an API that forbids the order stops the polling too", async () => {
  answer = () => problem(404, "order_not_found");
  const stream = await watch();
  for (let n = 0; n < 2; n++) sockets[n].ends(), await settled(), await pass(2_000);

  assert.equal(stream.status, "stopped");
});

for (const code of ["unauthenticated", "bad_token", "token_revoked", "forbidden", "order_not_found", "invalid_request"]) {
  test(`our own ${code} stops for good`, async () => {
    answer = () => problem(400, code);
    const stream = await watch({ grant: "g" });
    for (let n = 0; n < 2; n++) sockets[n].ends(), await settled(), await pass(2_000);

    assert.equal(stream.status, "stopped");
  });
}

// What a proxy says while the server behind it is restarted: none of it is about the order.
const FOREIGN = {
  "404 in plain text": [404, "text/plain", "404 page not found"],
  "403 as a page": [403, "text/html", "<h1>Forbidden</h1>"],
  "401 as JSON": [401, "application/json", '{"code":"unauthenticated"}'],
  "422 as JSON without a code": [422, "application/json", "{}"],
  "a problem without a code": [404, "application/problem+json", '{"status":404}'],
  "a problem with a code that we do not have": [403, "application/problem+json", '{"code":"waf_blocked"}'],
  "a problem that is cut off": [403, "application/problem+json", '{"code":'],
  "200 as a page": [200, "text/html", "<h1>Back soon</h1>"],
  "200 as JSON of another's": [200, "application/json", '{"status":"maintenance"}'],
};
for (const [name, [status, type, body]] of Object.entries(FOREIGN)) {
  test(`a proxy's answer ends nothing: ${name}`, async () => {
    const stop = [];
    answer = () => answered(status, type, body);
    const stream = await live({ grant: "g" });
    stream.addEventListener("status", () => stop.push(stream.status));

    sockets[0].ends();
    for (let n = 0; n < 12; n++) {
      await settled();
      await pass(20_000);
      if (sockets.at(-1).readyState === 0) sockets.at(-1).ends();
    }
    const asked = requests.length;
    for (let n = 0; n < 20 && sockets.at(-1).readyState !== 0; n++) await pass(20_000);
    sockets.at(-1).open();
    sockets.at(-1).says(synced(2, { mode: "tail", events: [event(2)] }));

    assert.ok(asked > 2, "it was not asked over HTTP");
    assert.deepEqual([stop.includes("stopped"), stream.status, stream.heard], [false, "live", [2]]);
  });
}

// Rights that run out

test("a grant that has run out ends its own stream and no other", async () => {
  const a = await live();
  const b = await watch({ order: B, grant: "short" });

  sockets[0].says(denied(4005, B));
  await settled();
  sockets[0].says(event(2));

  assert.deepEqual([a.status, b.status, a.heard, sockets.length], ["live", "stopped", [2], 1]);
});

test("a grant is renewed on the socket that is open, and its stream goes on from its cursor", async () => {
  const a = await live();
  const asked = [];
  const b = await watch({ order: B, cursor: { epoch: "one", version: 7 }, grant: "old", refreshToken: async (stream) => (asked.push(stream), "new") });

  sockets[0].says(denied(4005, B));
  await settled();

  assert.deepEqual([asked, sockets.length, a.status], [[b], 1, "live"]);
  assert.deepEqual(sockets[0].sent.at(-1), { type: "subscribe", subscribe: [{ order: B, epoch: "one", version: 7, grant: "new" }] });
  sockets[0].says(synced(7, { order: B }));
  assert.equal(b.status, "live");
});

test("a stream whose grant is being renewed waits, while the others come and go", async () => {
  let give;
  const a = await live();
  const b = await watch({ order: B, grant: "old", refreshToken: () => new Promise((resolve) => (give = resolve)) });
  sockets[0].says(denied(4005, B));
  sockets[0].ends();
  await settled();
  await pass(500);
  sockets[1].open();
  sockets[1].says(synced(1));
  const meanwhile = [a.status, b.status, sockets[1].sent[0].subscribe.map(({ order }) => order)];

  give("new");
  await settled();

  assert.deepEqual(meanwhile, ["live", "reconnecting", [A]]);
  assert.deepEqual(sockets[1].sent.at(-1).subscribe, [{ order: B, epoch: "one", version: 1, grant: "new" }]);
});

test("a token is renewed once for all the streams that share it", async () => {
  let asked = 0;
  const refreshToken = async () => `new ${++asked}`;
  await live({ token: "old", refreshToken });
  const b = await watch({ order: B, token: "old", refreshToken });
  sockets[0].says(synced(1, { order: B }));

  sockets[0].says(denied(4005, A));
  sockets[0].says(denied(4005, B));
  await settled();

  const [refresh, again] = sockets[0].sent.slice(-2);
  assert.deepEqual(refresh, { type: "refresh", token: "new 1" });
  assert.deepEqual(again.subscribe.map(({ order }) => order), [A, B]);
  assert.equal(b.status, "reconnecting");
  await watch({ order: "c".repeat(32), token: "new 1" });
  assert.equal(sockets.length, 1);
});

test("a socket that is closed because all grants ran out comes back with those that were renewed", async () => {
  const a = await live({ grant: "a1", refreshToken: async () => "a2" });
  const b = await watch({ order: B, grant: "b1" });

  sockets[0].ends(4005);
  await settled();
  await pass(1_000);
  sockets[1].open();

  assert.equal(b.status, "stopped");
  assert.deepEqual(sockets[1].sent[0].subscribe, [{ order: A, epoch: "one", version: 1, grant: "a2" }]);
  assert.equal(a.status, "reconnecting");
});

test("a lost token leaves those their streams who have grants of their own", async () => {
  const own = await live({ grant: "g", token: "t" });
  const shared = await watch({ order: B, token: "t" });

  sockets[0].ends(4005);
  await settled();
  await pass(1_000);
  sockets[1].open();

  assert.deepEqual([own.status, shared.status], ["reconnecting", "stopped"]);
  assert.deepEqual(sockets[1].sent[0].subscribe.map(({ grant }) => grant), ["g"]);
});

test("who cannot be reached for a new grant is asked again, with patience, and who has none ends the stream", async () => {
  const answers = [() => Promise.reject(new TypeError("network")), () => Promise.reject(new TypeError("network")), () => null];
  let asked = 0;
  const stream = await live({ grant: "old", refreshToken: () => answers[asked++]() });
  const counts = [];

  sockets[0].says(denied(4005, A));
  for (const ms of [0, 249, 1, 499, 1]) await pass(ms), counts.push(asked);

  assert.deepEqual(counts, [1, 1, 2, 2, 3]);
  assert.equal(stream.status, "stopped");
});

test("a renewal that is no good is not repeated without end", async () => {
  let asked = 0;
  await live({ grant: "old", refreshToken: async () => (asked++, "just as old") });

  for (let n = 0; n < 20; n++) sockets[0].says(denied(4005, A)), await settled();

  assert.equal(asked, 1);
});

test("over HTTP too, a grant that has run out ends its own stream and no other", async () => {
  answer = (url) => {
    if (url.includes(B)) return problem(401, "token_expired");
    return url.endsWith("/stream") ? json({}, 502) : json({ epoch: "one", version: 5, state: "paid" });
  };
  const a = await watch({ cursor: undefined });
  const b = await watch({ order: B, grant: "short" });
  const codes = [];
  b.addEventListener("status", ({ detail }) => codes.push(detail?.code));
  for (let n = 0; n < 2; n++) sockets[n].ends(), await settled(), await pass(2_000);
  for (let n = 0; n < 4; n++) await pass(2_000);

  assert.deepEqual([a.status, a.heard, b.status, codes.at(-1)], ["polling", ["snapshot 5"], "stopped", 4005]);
});

test("over HTTP too, a grant is renewed", async () => {
  answer = (url, { headers }) => {
    if (url.endsWith("/stream")) return json({}, 502);
    if (headers.Authorization !== "Bearer new") return problem(401, "token_expired");
    return json({ epoch: "one", version: 5, state: "paid" });
  };
  const stream = await watch({ cursor: undefined, grant: "old", refreshToken: async () => "new" });
  for (let n = 0; n < 2; n++) sockets[n].ends(), await settled(), await pass(2_000);
  for (let n = 0; n < 4; n++) await pass(2_000);

  assert.deepEqual([stream.status, stream.heard], ["polling", ["snapshot 5"]]);
});

// Rest

function aTab({ hidden = false } = {}) {
  globalThis.document = Object.assign(new EventTarget(), { hidden });
  globalThis.window = new EventTarget();
  return {
    turns: async (to) => ((document.hidden = to), document.dispatchEvent(new Event("visibilitychange")), settled()),
    hears: async (name) => (window.dispatchEvent(new Event(name)), settled()),
  };
}

test("a tab that is hidden for a minute gives its socket back, and catches up when it is looked at", async () => {
  const tab = aTab();
  const stream = await live();

  await tab.turns(true);
  await pass(30_000);
  sockets[0].says({ type: "ping" });
  await pass(29_999);
  const before = stream.status;
  await pass(1);
  const asleep = [stream.status, sockets[0].readyState, sockets.length];
  await pass(3_600_000);
  await tab.turns(false);
  sockets[1].open();

  assert.deepEqual([before, ...asleep], ["live", "asleep", 3, 1]);
  assert.deepEqual(sockets[1].sent[0].subscribe, [{ order: A, epoch: "one", version: 1 }]);
});

test("a tab that is looked at within the minute keeps its socket", async () => {
  const tab = aTab();
  const stream = await live();

  await tab.turns(true);
  await pass(40_000);
  sockets[0].says({ type: "ping" });
  await tab.turns(false);
  await pass(30_000);

  assert.deepEqual([stream.status, sockets.length], ["live", 1]);
});

test("a page that was opened in a hidden tab sleeps too", async () => {
  aTab({ hidden: true });
  const stream = await live();

  await pass(60_000);

  assert.equal(stream.status, "asleep");
});

test("a page that is put away keeps no socket, and comes back with one", async () => {
  const tab = aTab();
  const stream = await live();

  await tab.hears("pagehide");
  await pass(60_000);
  const away = [stream.status, sockets.length];
  await tab.hears("pageshow");

  assert.deepEqual([...away, sockets.length], ["asleep", 1, 2]);
});

test("offline it lets go at once, and online it does not wait for its turn", async () => {
  const tab = aTab();
  const stream = await live();
  for (let n = 0; n < 6; n++) sockets.at(-1).ends(), await settled(), await pass(20_000);
  const before = sockets.length;
  sockets.at(-1).open();
  sockets.at(-1).says(synced(1));

  await tab.hears("offline");
  const status = stream.status;
  await tab.hears("online");

  assert.deepEqual([status, sockets.length], ["reconnecting", before + 1]);
});

// Manners

test("a server that closes while it drains does not disturb the connection that follows", async () => {
  await live();
  sockets[0].says({ type: "draining", within_ms: 10_000 });
  sockets[0].ends(4010);
  await settled();
  await pass(500);
  sockets[1].open();
  sockets[1].says(synced(1));

  await pass(10_000);
  await watch({ order: B });

  assert.equal(sockets.length, 2);
  assert.deepEqual(sockets[1].sent.at(-1).subscribe.map(({ order }) => order), [B]);
});

test("too many connections: it comes back later than ever else", async () => {
  await live();

  sockets[0].ends(4009);
  await settled();
  await pass(19_999);
  const before = sockets.length;
  await pass(1);

  assert.deepEqual([before, sockets.length], [1, 2]);
});

test("as long as there are too many, it stays away longer each time, and begins anew once it was let in", async () => {
  await live();
  const waits = [];
  for (let turn = 0; turn < 6; turn++) {
    const before = sockets.length;
    sockets.at(-1).ends(4009);
    await settled();
    let waited = 0;
    while (sockets.length === before) {
      await pass(10_000);
      waited += 10_000;
    }
    waits.push(waited);
  }
  assert.deepEqual(waits, [20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);

  sockets.at(-1).open();
  sockets.at(-1).says(synced(1));
  const before = sockets.length;
  sockets.at(-1).ends(4009);
  await settled();
  await pass(20_000);
  assert.equal(sockets.length, before + 1);
});

test("one answer may refuse several orders, and the others stay", async () => {
  const first = await live();
  const others = await Promise.all(["b", "c", "d"].map((each) => watch({ order: each.repeat(32) })));

  sockets[0].says({ type: "error", code: 4003, message: "not yours", orders: [B, "c".repeat(32)], count: 2 });
  await settled();

  assert.deepEqual(others.map(({ status }) => status), ["stopped", "stopped", "connecting"]);
  assert.equal(first.status, "live");
  assert.equal(sockets.length, 1);
});

test("many orders are asked for in messages of twenty, so that each refused one is named", async () => {
  await live();

  await Promise.all(Array.from({ length: 45 }, (_, n) => watch({ order: n.toString(16).padStart(32, "0") })));

  assert.deepEqual(sockets[0].sent.slice(1).map(({ subscribe }) => subscribe.length), [20, 20, 5]);
});

test("what is watched in one breath is asked for in one frame", async () => {
  await live();

  const added = "bcdef".split("").map((each) => watch({ order: each.repeat(32) }));
  await Promise.all(added);

  assert.equal(sockets[0].sent.length, 2);
  assert.equal(sockets[0].sent[1].subscribe.length, 5);
});

test("a cursor that the journal has not got yet gives way to what there is", async () => {
  const stream = await watch({ cursor: { epoch: "one", version: 9 } });
  sockets[0].open();

  sockets[0].says(synced(3, { mode: "snapshot", state: "paid", data: {} }));
  sockets[0].says(event(4));

  assert.deepEqual([stream.heard, stream.version], [["snapshot 3", 4], 4]);
});

// The browser client under Node's own runner: `node --test tests/browser/`. The wires are played here; that the real
// server speaks as they do is proved in a real browser (test_live_pages.py).
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { OrderStream } from "../../realtime/static/realtime/ordercast.js";

const A = "a".repeat(32);
const B = "b".repeat(32);
const CURSOR = { epoch: "one", version: 1 };

let sockets, requests, answer, streams;

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
const json = (body, status = 200) => Promise.resolve({ ok: status < 400, status, json: async () => body });

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
  const asked = sockets[0].sent.at(-1);
  sockets[0].says({ type: "synced", order: A, epoch: "one", version: 3, mode: "tail", events: [event(2), event(3)] });

  assert.deepEqual(asked, { type: "subscribe", subscribe: [{ order: A, epoch: "one", version: 1 }] });
  assert.deepEqual(stream.heard, [2, 3]);
});

test("an event of another epoch is not taken", async () => {
  const stream = await live();

  sockets[0].says(event(2, { epoch: "two" }));

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
  answer = () => json({}, 404);
  const stream = await watch();
  for (let n = 0; n < 2; n++) sockets[n].ends(), await settled(), await pass(2_000);

  assert.equal(stream.status, "stopped");
});

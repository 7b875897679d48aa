// The server that is measured: a socket joins the room of its order, and what another process of the cluster emits
// reaches it through Valkey. It emits nothing of its own.
const { createServer } = require("node:http");
const { createAdapter } = require("@socket.io/redis-adapter");
const { createClient } = require("redis");
const { Server } = require("socket.io");

(async () => {
  const publishing = createClient({ socket: { path: process.env.VALKEY_URL.replace("unix://", "") } });
  const subscribing = publishing.duplicate();
  await Promise.all([publishing.connect(), subscribing.connect()]);
  const http = createServer();
  const adapter = createAdapter(publishing, subscribing);
  const io = new Server(http, { transports: ["websocket"], serveClient: false, adapter });
  io.on("connection", async (socket) => {
    await socket.join(socket.handshake.query.order);
    socket.emit("joined");
  });
  http.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
})();

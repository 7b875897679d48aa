// The staff board: told by an event stream that something has changed, it fetches itself and takes over what differs.
// Where no stream comes through it asks every few seconds; without script the page loads itself anew.
import { loadAnew } from "./reading.js";

const POLL = 5000; // ms between two questions while no stream stands
const QUIET = 1500; // ms before a screen reader hears of what needs a person

const PARTS = ["board-attention", "board-newest", "board-open", "board-minutes", "board-closed", "board-parts"];
const one = (selector) => document.querySelector(selector);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const dataOf = (page) => JSON.parse(page.getElementById("board-chart").textContent);

let isAsking = false;
let isAskedAgain = false;
let announcing;

// A bar stands on the ground behind the shorter one, so the first is the sum of all.
const stacked = ({ at, callback, reconciler, other }) => [
  at,
  at.map((_, i) => callback[i] + reconciler[i] + other[i]),
  at.map((_, i) => callback[i] + reconciler[i]),
  callback,
];
const lines = ({ at, p50, p95 }) => [at, p50, p95];

const hours = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
const clock = (seconds) => hours.format(new Date(seconds * 1000));

function axis(more) {
  return { stroke: () => colour("--quiet"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui", ...more };
}

function draw(name, columns, series, scales) {
  const place = one(`[data-chart=${name}]`);
  const size = () => ({ width: place.clientWidth || 280, height: 176 });
  place.style.display = "block";
  const chart = new uPlot({
    ...size(),
    series: [{}, ...series],
    scales: { x: { range: (_, from, to) => [from, to + 60] }, ...scales }, // the present minute has its room too
    legend: { show: false },
    cursor: { show: false },
    axes: [axis({ space: 60, size: 28, values: (_, ticks) => ticks.map(clock) }), axis({ size: 48, space: 28 })],
  }, columns, place);
  new ResizeObserver(() => chart.setSize(size())).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.redraw());
  return chart;
}

function bars(name) {
  const paths = uPlot.paths.bars({ size: [0.8, 16], align: 1 });
  return { paths, points: { show: false }, stroke: () => colour(name), fill: () => colour(name), width: 0 };
}

function line(name) {
  return { stroke: () => colour(name), width: 2, spanGaps: false, points: { show: true, size: 5, fill: () => colour(name) } };
}

const whole = (least) => ({ range: (_, min, max) => [0, Math.max(least, Math.ceil((max ?? 0) * 1.1))] });

const first = dataOf(document);
const charts = [
  [draw("events", stacked(first), [bars("--other"), bars("--reconciler"), bars("--callback")], { y: whole(4) }), stacked],
  [draw("late", lines(first), [line("--callback"), line("--reconciler")], { y: whole(10) }), lines],
];

// The page in the words of the server, put in where it differs: what has the focus and has not changed keeps it.
function takeOver(fresh) {
  const before = one("#board-attention").textContent;
  for (const id of PARTS) {
    const here = document.getElementById(id);
    const there = fresh.getElementById(id);
    if (here.children.length === there.children.length) {
      [...here.children].forEach((child, i) => {
        if (child.outerHTML !== there.children[i].outerHTML) child.replaceWith(document.importNode(there.children[i], true));
      });
    } else here.replaceChildren(...[...there.children].map((child) => document.importNode(child, true)));
  }
  for (const number of document.querySelectorAll(".legend [data-key] b")) {
    const key = number.parentElement.dataset.key;
    number.textContent = fresh.querySelector(`.legend [data-key=${key}] b`).textContent;
  }
  one("#board-at").replaceWith(document.importNode(fresh.getElementById("board-at"), true));
  const data = dataOf(fresh);
  for (const [chart, columns] of charts) chart.setData(columns(data));
  if (one("#board-attention").textContent !== before) announce();
}

function announce() {
  clearTimeout(announcing);
  announcing = setTimeout(() => {
    const tiles = [...document.querySelectorAll("#board-attention .tile")];
    one("[data-announce]").textContent = tiles.map((tile) => `${tile.querySelector("span").textContent}: ${tile.querySelector("b").textContent}`).join(". ");
  }, QUIET);
}

async function refresh() {
  if (isAsking) {
    isAskedAgain = true;
    return;
  }
  isAsking = true;
  try {
    takeOver(await loadAnew("board-attention"));
  } catch {
    tell("away");
  }
  isAsking = false;
  if (isAskedAgain) {
    isAskedAgain = false;
    refresh();
  }
}

function tell(how) {
  const place = one("[data-board-connection]");
  place.dataset.boardConnection = how;
  place.querySelector("[data-connection-text]").textContent = place.dataset[how];
}

let stream;
let isLive = false;

function listen() {
  stream = new EventSource("/board/stream");
  stream.addEventListener("changed", () => {
    isLive = true;
    tell("live");
    refresh();
  });
  stream.addEventListener("open", () => {
    isLive = true;
    tell("live");
  });
  stream.addEventListener("error", () => {
    isLive = false;
    tell("away");
  });
}

setInterval(() => {
  if (isLive) return;
  refresh();
  if (stream.readyState === EventSource.CLOSED) listen(); // it was refused, and does not come back by itself
}, POLL);

// A board that nobody looks at costs nothing.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) stream.close();
  else listen();
});
listen();

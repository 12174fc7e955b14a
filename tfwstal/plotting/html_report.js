"use strict";
addEventListener("error", event => {
  document.documentElement.dataset.error = event.message;
});
const data = JSON.parse(document.getElementById("data").textContent);
const WIDTH = 1000, LEFT = 150, RIGHT = 860;
const LANE = 20, CURVES = 84, STRIP = 60, TITLE = 22;
const ATTENTIONS = {foreground: "currentColor", context: "#e6821a",
  background: "#999"};

// A class has one colour on the whole page.
const palette = {};
let used = 0;
for (const video of data.videos)
  for (const row of video.rows)
    if (!row.attention)
      for (const name of row.names)
        palette[name] ??= data.colours[used++ % data.colours.length];

function add(parent, name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  parent.appendChild(node);
  return node;
}

function short(text, most) {  // what fits beside a row
  return text.length > most ? text.slice(0, most - 1) + "…" : text;
}

function step(seconds) {  // between ticks, of which there are 5 to 12
  const power = 10 ** Math.floor(Math.log10(seconds / 5));
  return power * [5, 2, 1].find(n => n * power * 5 <= seconds);
}

function draw(plot) {
  if (plot.firstChild) return;
  const video = data.videos[plot.dataset.video];
  const height = +plot.dataset.height, bottom = height - 34;
  const at = second => LEFT + (RIGHT - LEFT) * second / video.seconds;
  const player = plot.closest("section").querySelector("video");
  const svg = add(plot, "svg", {viewBox: `0 0 ${WIDTH} ${height}`,
    role: player ? "group" : "img", class: player ? "plays" : ""});
  const apart = step(video.seconds);
  for (let i = 0; i * apart <= video.seconds; i++) {
    const x = at(i * apart);
    add(svg, "line", {class: "grid", x1: x, x2: x, y1: 4, y2: bottom});
    add(svg, "text", {class: "axis", x: x, y: bottom + 14,
      "text-anchor": "middle"}, +(i * apart).toPrecision(6));
  }
  add(svg, "text", {class: "axis", x: (LEFT + RIGHT) / 2, y: bottom + 29,
    "text-anchor": "middle"}, "Time (seconds)");
  let y = 0;
  for (const row of video.rows) {
    add(svg, "text", {class: "axis", x: LEFT, y: y + 15}, row.title);
    y += TITLE;
    const colour = name => row.attention ? ATTENTIONS[data.names[name]]
      : palette[name];
    y += row.bars ? drawBars(svg, row, y, at, colour)
      : row.strip ? drawStrip(svg, row, y, at)
      : drawCurves(svg, row, y, at, colour);
  }
  if (player) connect(player, svg, at, bottom);
  const main = document.querySelector("main");
  main.dataset.drawn = 1 + +(main.dataset.drawn ?? 0);
}

function drawBars(svg, row, y, at, colour) {
  row.names.forEach((name, lane) => {
    const label = add(svg, "text", {x: LEFT - 8, y: y + lane * LANE + 14,
      "text-anchor": "end"}, short(data.names[name], 20));
    add(label, "title", {}, data.names[name]);
  });
  for (const [lane, start, end, strength, score] of row.bars) {
    const bar = add(svg, "rect", {class: "bar", x: at(start),
      y: y + lane * LANE + 3, width: Math.max(at(end) - at(start), 1),
      height: LANE - 6, rx: 2, fill: colour(row.names[lane]),
      "fill-opacity": 0.2 + 0.8 * strength, stroke: colour(row.names[lane])});
    bar.dataset.start = start;
    bar.dataset.end = end;
    add(bar, "title", {}, `${data.names[row.names[lane]]}: ${start} to ` +
      `${end} s` + (score === undefined ? "" : `, score ${score}`));
  }
  return Math.max(row.names.length, 1) * LANE;
}

function drawStrip(svg, row, y, at) {
  add(svg, "image", {href: row.strip, x: LEFT, y: y, height: STRIP - 4,
    width: at(row.end) - LEFT, preserveAspectRatio: "none"});
  return STRIP;
}

function drawCurves(svg, row, y, at, colour) {
  const values = Uint8Array.from(atob(row.values), c => c.charCodeAt(0));
  const length = values.length / row.names.length;
  const above = value => (y + (CURVES - 8) * (1 - value / 255)).toFixed(1);
  for (const [value, text] of [[0, "0"], [255, "1"]])
    add(svg, "text", {class: "axis", x: LEFT - 8, y: +above(value) + 4,
      "text-anchor": "end"}, text);
  row.names.forEach((name, i) => {
    let path = `M${LEFT} ${above(values[i * length])}`;
    for (let t = 0; t < length; t++)
      path += `V${above(values[i * length + t])}` +
        `H${at((t + 1) * row.snippet).toFixed(1)}`;
    add(svg, "path", {class: "curve", d: path, stroke: colour(name)});
    const label = add(svg, "text", {x: RIGHT + 30, y: y + 14 + i * 18},
      short(data.names[name], 16));
    add(label, "title", {}, data.names[name]);
    add(svg, "line", {x1: RIGHT + 8, x2: RIGHT + 24, y1: y + 10 + i * 18,
      y2: y + 10 + i * 18, stroke: colour(name), "stroke-width": 2});
  });
  return CURVES;
}

// A click on a bar plays its segment, one on a frame shows the film there.
function connect(film, svg, at, bottom) {
  const now = add(svg, "line", {class: "now", y1: 4, y2: bottom});
  let segment = null;  // that plays: its start, end and bar
  let looping = false;
  function leave() {
    segment?.bar.classList.remove("playing");
    segment = null;
  }
  function update() {
    if (segment && !film.seeking && film.currentTime >= segment.end) {
      film.pause();
      film.currentTime = segment.end;
      leave();
    }
    for (const end of ["x1", "x2"]) now.setAttribute(end, at(film.currentTime));
  }
  function loop() {
    update();
    looping = !film.paused;
    if (looping) requestAnimationFrame(loop);
  }
  function play(bar) {
    leave();
    segment = {bar, start: +bar.dataset.start, end: +bar.dataset.end};
    bar.classList.add("playing");
    film.currentTime = segment.start;
    film.play().catch(() => {});  // an error has an event of its own
  }
  film.addEventListener("play", () => {
    for (const other of document.querySelectorAll("video"))
      if (other !== film) other.pause();
    if (!looping) loop();
  });
  film.addEventListener("timeupdate", update);  // a hidden page has no frames
  film.addEventListener("ended", leave);
  film.addEventListener("seeking", () => {  // by the film's own controls
    if (segment && (film.currentTime < segment.start - 0.05 ||
        film.currentTime > segment.end + 0.05)) leave();
  });
  for (const bar of svg.querySelectorAll(".bar")) {
    bar.setAttribute("tabindex", 0);
    bar.setAttribute("role", "button");
    bar.addEventListener("click", () => play(bar));
    bar.addEventListener("keydown", event => {
      if (event.key === "Enter") play(bar);
    });
  }
  for (const strip of svg.querySelectorAll("image"))
    strip.addEventListener("click", event => {
      const box = svg.getBoundingClientRect();
      const x = (event.clientX - box.left) * WIDTH / box.width;
      leave();
      film.currentTime = (x - LEFT) / (at(1) - LEFT);
    });
  film.addEventListener("error", () => {
    film.closest("section").querySelector(".advice").hidden = false;
  });
  update();
  film.preload = "metadata";
  film.src = film.dataset.src;
}

// A plot is drawn when it comes near the window.
const plots = [...document.querySelectorAll(".plot")];
const observer = new IntersectionObserver(entries => {
  for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
}, {rootMargin: "800px"});
plots.forEach(plot => observer.observe(plot));
addEventListener("beforeprint", () => plots.forEach(draw));

// Filters hide sections and rows of the index alike.
const choice = document.getElementById("class");
const part = document.getElementById("name");
const rows = [...document.querySelectorAll("#index tbody tr")];
const classes = data.videos.map(video => new Set(video.rows
  .filter(row => row.bars).flatMap(row => row.names)));
[...new Set(classes.flatMap(names => [...names]))]
  .map(i => [data.names[i], i]).sort((a, b) => a[0] < b[0] ? -1 : 1)
  .forEach(([name, i]) => choice.add(new Option(name, i)));
const ids = rows.map(row => row.cells[0].textContent.toLowerCase());
function filter() {
  let shown = 0;
  plots.forEach((plot, i) => {
    const hidden = !ids[i].includes(part.value.toLowerCase()) ||
      choice.value !== "" && !classes[i].has(+choice.value);
    plot.closest("section").hidden = rows[i].hidden = hidden;
    shown += !hidden;
  });
  document.getElementById("shown").textContent =
    `${shown} of ${plots.length} videos`;
}
part.addEventListener("input", filter);
choice.addEventListener("change", filter);
filter();

// A click on a column's head sorts by it, once more turns the order around.
for (const head of document.querySelectorAll("thead th"))
  head.addEventListener("click", () => {
    const body = head.closest("table").tBodies[0], i = head.cellIndex;
    const key = row => row.cells[i].dataset.value ?? row.cells[i].textContent;
    const turn = head.dataset.turn = head.dataset.turn === "1" ? -1 : 1;
    body.append(...[...body.rows].sort((a, b) => turn * key(a)
      .localeCompare(key(b), "en", {numeric: true})));
  });

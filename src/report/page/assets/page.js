// Draws the figures of a report, offers their data, and follows light, dark, width and print.
"use strict";

const LIGHT = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555"];
const DARK = ["#56B4E9", "#FF9A66", "#4FD0A5", "#E69AC4", "#F0C060", "#9DB8FF", "#BBBBBB"];
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const figures = JSON.parse(document.getElementById("figures").textContent);
const diagrams = JSON.parse(document.getElementById("diagrams").textContent);
const views = new Map();

function configOf(isDark) {
  const ink = isDark ? "#e6e9ed" : "#1b1f24", soft = isDark ? "#9aa4af" : "#57606a";
  const line = isDark ? "#363d46" : "#d9dee3";
  return {
    background: null,
    font: "system-ui, -apple-system, Segoe UI, Roboto, Noto Sans, sans-serif",
    view: { stroke: line },
    axis: { labelColor: ink, titleColor: soft, gridColor: line, domainColor: soft, tickColor: soft,
            labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", labelOverlap: true },
    legend: { labelColor: ink, titleColor: soft, orient: "top", labelFontSize: 12, symbolStrokeWidth: 2, symbolOpacity: 1,
              symbolBaseFillColor: soft, symbolBaseStrokeColor: soft, labelLimit: 220, columns: 4 },
    text: { color: ink }, title: { color: ink },
    range: { category: isDark ? DARK : LIGHT },
  };
}

// As many columns as the longest name of a legend leaves room for.
function columnsOf(spec, room) {
  const fields = new Set();
  const look = (view) => {
    for (const channel of ["color", "strokeDash", "shape", "opacity"]) {
      const shown = view.encoding && view.encoding[channel];
      if (shown && shown.field && shown.type !== "quantitative" && shown.legend !== null) fields.add(shown.field);
    }
    (view.layer || []).forEach(look);
  };
  look(spec);
  const names = spec.data.values.flatMap((row) => [...fields].map((field) => String(row[field] ?? "")));
  const longest = names.reduce((most, name) => Math.max(most, name.length), 1);
  return Math.max(1, Math.min(4, Math.floor((room - 50) / (Math.min(220, 6.6 * longest) + 30))));
}

function draw(host, isDark) {
  const figure = figures[host.dataset.figure];
  const spec = structuredClone(figure.spec);
  const room = Math.max(240, Math.min(host.clientWidth, 960));
  spec.width = room;
  spec.autosize = { type: "fit-x", contains: "padding" };
  if (spec.usermeta && spec.usermeta.square) spec.height = Math.round(Math.min(room * 0.6, 420));
  const config = configOf(isDark);
  config.legend.columns = columnsOf(spec, room);
  const compiled = vegaLite.compile(spec, { config }).spec;
  const canvas = spec.usermeta && spec.usermeta.canvas;
  const old = views.get(host);
  if (old) old.finalize();
  const view = new vega.View(vega.parse(compiled), {
    renderer: canvas ? "canvas" : "svg", container: host, hover: true,
  });
  views.set(host, view);
  view.tooltip(tooltip);
  return view.runAsync().then(() => {
    host.dataset.drawn = "yes";
    const drawn = host.querySelector("svg, canvas");
    drawn.setAttribute("role", "img");
    drawn.setAttribute("aria-label", figure.title);
  });
}

const bubble = document.createElement("div");
bubble.style.cssText = "position:absolute;display:none;pointer-events:none;z-index:3;padding:.35rem .55rem;" +
  "background:var(--panel);color:var(--ink);border:1px solid var(--line);border-radius:4px;font-size:.8rem;white-space:pre-line";
document.body.appendChild(bubble);

function tooltip(handler, event, item, value) {
  if (value === null || value === undefined || value === "") {
    bubble.style.display = "none";
    return;
  }
  bubble.textContent = typeof value === "object"
    ? Object.entries(value).map(([name, what]) => `${name}: ${what}`).join("\n") : String(value);
  bubble.style.display = "block";
  const right = event.pageX + 14, width = bubble.offsetWidth;
  bubble.style.left = Math.min(right, document.documentElement.clientWidth - width - 8) + "px";
  bubble.style.top = event.pageY + 14 + "px";
}

function drawAll(isDark) {
  const plots = [...document.querySelectorAll(".plot")].map((host) => draw(host, isDark));
  document.querySelectorAll(".diagram").forEach((host) => drawDiagram(host, diagrams[host.dataset.diagram]));
  return Promise.all(plots);
}

function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function csvOf(rows) {
  const columns = [...new Set(rows.flatMap(Object.keys))];
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  };
  return [columns.join(","), ...rows.map((row) => columns.map((name) => cell(row[name])).join(","))].join("\n") + "\n";
}

function tableOf(rows) {
  const columns = [...new Set(rows.flatMap(Object.keys))];
  const table = document.createElement("table");
  const line = (tag, values, parent) => {
    const row = parent.insertRow();
    for (const value of values) {
      const made = document.createElement(tag);
      made.textContent = value === null || value === undefined ? "" : value;
      row.appendChild(made);
    }
  };
  line("th", columns, table.createTHead());
  const body = table.createTBody();
  rows.slice(0, 2000).forEach((row) => line("td", columns.map((name) => row[name]), body));
  return table;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-save]");
  if (!button) return;
  const name = button.closest("figure").dataset.name;
  const figure = figures[name];
  if (button.dataset.save === "csv") save(name + ".csv", "text/csv", csvOf(figure.spec.data.values));
  else save(name + ".vl.json", "application/json", JSON.stringify(figure.spec, null, 2) + "\n");
});

document.addEventListener("toggle", (event) => {
  const details = event.target;
  if (!details.open || !details.dataset || !details.dataset.rows || details.querySelector("table")) return;
  const box = document.createElement("div");
  box.className = "scroll";
  box.tabIndex = 0;
  box.appendChild(tableOf(figures[details.dataset.rows].spec.data.values));
  details.appendChild(box);
}, true);

// A table with buttons for the values of a column, and a search of all of it.
function addFilter(table) {
  const column = Number(table.dataset.filter), rows = [...table.tBodies[0].rows];
  const valueOf = (row) => row.cells[column].textContent;
  const bar = document.createElement("div"), told = document.createElement("span");
  const search = document.createElement("input");
  bar.className = "filters";
  told.setAttribute("role", "status");
  Object.assign(search, { type: "search", placeholder: "Search" });
  search.setAttribute("aria-label", "Search this table");
  let wanted = null;
  const buttons = [];
  const apply = () => {
    const words = search.value.toLowerCase();
    let count = 0;
    for (const row of rows) {
      const shows = (!wanted || valueOf(row) === wanted) && row.textContent.toLowerCase().includes(words);
      row.hidden = !shows;
      count += shows;
    }
    for (const [value, button] of buttons) button.setAttribute("aria-pressed", String(value === wanted));
    told.textContent = `${count} of ${rows.length}`;
  };
  for (const value of [null, ...new Set(rows.map(valueOf))]) {
    const button = document.createElement("button");
    const count = rows.filter((row) => value === null || valueOf(row) === value).length;
    Object.assign(button, { type: "button", textContent: `${value ?? "all"} (${count})` });
    button.addEventListener("click", () => { wanted = value; apply(); });
    buttons.push([value, button]);
    bar.append(button);
  }
  search.addEventListener("input", apply);
  bar.append(search, told);
  table.parentElement.before(bar);
  apply();
}
document.querySelectorAll("table[data-filter]").forEach(addFilter);

let width = document.documentElement.clientWidth, waiting;
window.addEventListener("resize", () => {
  if (document.documentElement.clientWidth === width) return;
  width = document.documentElement.clientWidth;
  clearTimeout(waiting);
  waiting = setTimeout(() => drawAll(dark.matches), 150);
});
dark.addEventListener("change", () => drawAll(dark.matches));
// Paper is light.
window.addEventListener("beforeprint", () => drawAll(false));
window.addEventListener("afterprint", () => drawAll(dark.matches));

drawAll(dark.matches).then(() => { document.documentElement.dataset.ready = "yes"; });

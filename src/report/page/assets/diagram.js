// The deployment as a picture: nodes and edges as data, laid out by dagre, drawn as SVG.
// Reusable: `drawDiagram(element, diagram)` needs the page's style sheet and nothing else.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const HEAT = [0.25, 0.5, 0.75, 0.95];

function digits(value) {
  return value.toLocaleString("en-US", { maximumSignificantDigits: 3 });
}
function percent(value) {
  return digits(100 * value) + " %";
}
function seconds(value) {
  if (value >= 1) return digits(value) + " s";
  return value >= 0.001 ? digits(value * 1e3) + " ms" : digits(value * 1e6) + " us";
}

function linesOf(node) {
  const lines = [];
  if (node.kind === "users") {
    lines.push(digits(node.offered_per_s) + "/s");
    if (node.failed_ratio > 0) lines.push(percent(node.failed_ratio) + " fail");
    return lines;
  }
  if (node.utilisation_ratio !== null && node.capacity > 0) {
    lines.push(percent(node.utilisation_ratio) + " busy of " + digits(node.capacity));
  }
  if (node.hit_ratio !== null) lines.push(percent(node.hit_ratio) + " hits");
  if (node.waiting > 0.01) {
    lines.push(digits(node.waiting) + " wait" +
      (node.wait_mean_s > 0 ? ", " + seconds(node.wait_mean_s) : ""));
  }
  if (node.turned_away_ratio > 0) lines.push("turns away " + percent(node.turned_away_ratio));
  return lines;
}

function element(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (parent) parent.appendChild(made);
  return made;
}

function heatOf(node) {
  const busy = node.utilisation_ratio;
  return busy === null || busy === undefined ? 0 : HEAT.filter((level) => busy >= level).length;
}

function pathOf(points) {
  let path = `M${points[0].x},${points[0].y}`;
  for (let at = 1; at < points.length - 1; at += 1) {
    const here = points[at], next = points[at + 1];
    path += `Q${here.x},${here.y} ${(here.x + next.x) / 2},${(here.y + next.y) / 2}`;
  }
  const last = points[points.length - 1];
  return path + `L${last.x},${last.y}`;
}

function drawDiagram(host, diagram) {
  host.replaceChildren();
  const fits = host.clientWidth >= 480;
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 12, ranksep: fits ? 46 : 26, marginx: 6, marginy: 6 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of diagram.nodes) {
    const lines = linesOf(node);
    const longest = Math.max(node.label.length * 1.12, ...lines.map((line) => line.length));
    graph.setNode(node.id, { width: Math.max(70, longest * 6.4 + 16), height: 24 + 15 * lines.length, node, lines });
  }
  for (const edge of diagram.edges) graph.setEdge(edge.from, edge.to, { edge });
  dagre.layout(graph);
  const size = graph.graph();
  const svg = element("svg", {
    viewBox: `0 0 ${size.width} ${size.height}`, width: size.width, height: size.height,
    role: "group", "aria-label": "The deployment: " + diagram.design,
  });
  // On a narrow screen it scrolls: shrunk to fit, nobody could read it.
  svg.style.maxWidth = fits ? "100%" : "none";
  svg.style.height = "auto";
  const most = Math.max(...diagram.edges.map((edge) => edge.rate_per_s), 1e-9);
  for (const key of graph.edges()) {
    const { points, edge } = graph.edge(key);
    const width = 1 + 4 * Math.sqrt(edge.rate_per_s / most);
    const line = element("path", { class: "edge", d: pathOf(points), "stroke-width": width.toFixed(2) }, svg);
    element("title", {}, line).textContent =
      `${edge.from} to ${edge.to}: ${digits(edge.rate_per_s)}/s, ${digits(edge.visits)} for each request`;
  }
  for (const id of graph.nodes()) {
    const { x, y, width, height, node, lines } = graph.node(id);
    const group = element("g", {
      class: `node heat-${heatOf(node)}` + (node.is_full ? " full" : ""),
      transform: `translate(${x - width / 2},${y - height / 2})`, tabindex: 0, role: "img",
      "aria-label": [node.label, ...lines, node.is_full ? "at its limit" : ""].filter(Boolean).join(", "),
    }, svg);
    element("rect", { width, height, rx: 5 }, group);
    element("text", { class: "name", x: 8, y: 17 }, group).textContent = node.label;
    lines.forEach((line, at) => {
      element("text", { x: 8, y: 33 + 15 * at }, group).textContent = line;
    });
  }
  host.appendChild(svg);
}

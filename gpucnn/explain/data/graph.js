// The arrays as cards in columns, and the lines between them.
const $ = (id) => document.getElementById(id);
let cells; // by key: the cell that shows the number

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children); // strings become text, never markup
  return node;
}

function put(node, attribute, value) {
  if (value === null) node.removeAttribute(attribute);
  else node.setAttribute(attribute, value);
}

function buildStage() {
  cells = new Map();
  const places = columns();
  const boxes = [];
  const values = lesson.arrays.filter((array) => array.gradient_of === null);
  const isResult = (array) => reached.get(array.name) > 0;
  const inputs = values.filter((array) => !isResult(array));
  for (const array of [...values.filter(isResult), ...inputs]) {
    const gradients = lesson.arrays.filter((each) => each.gradient_of === array.name);
    const box = make("div", { class: "card" }, ...[array, ...gradients].map(part));
    box.dataset.card = array.name;
    (boxes[places.get(array.name)] ??= make("div", { class: "column" })).append(box);
  }
  const layer = (name) => svg("svg", { class: name, "aria-hidden": "true" });
  $("graph").replaceChildren(layer("lines"), layer("paths"), ...boxes.filter(Boolean));
}

function part(array) {
  const gradient = array.gradient_of !== null;
  const head = make("p", { class: "head" }, make("b", {}, array.name), ` ${array.about}`);
  const box = make("div", { class: gradient ? "part gradient" : "part" }, head);
  box.dataset.array = array.name;
  const width = array.shape.length ? array.shape.at(-1) : 1;
  const table = make("table", { role: "grid", "aria-label": `${array.name}, ${array.about}` });
  let row;
  indices(array.shape).forEach((index, n) => {
    if (n % width === 0) table.append((row = make("tr", { role: "row" })));
    const cell = make("td", { role: "gridcell", tabindex: n ? -1 : 0 });
    Object.assign(cell.dataset, { key: key(array.name, index), shown: array.shown[n] });
    cell.dataset.place = place(array.name, index);
    cells.set(cell.dataset.key, cell);
    row.append(cell);
  });
  rove(table, "td", width);
  box.append(make("div", { class: "scroll" }, table));
  return box;
}

function fillStage() {
  const backward = lesson.steps.slice(0, position).some((step) => step.backward);
  for (const cell of cells.values()) {
    const name = cell.closest(".part").dataset.array;
    const there = isReached(name);
    cell.textContent = there ? cell.dataset.shown : "?";
    cell.classList.toggle("unknown", !there);
    cell.classList.toggle("fresh", there && reached.get(name) === position);
    const value = there ? cell.dataset.shown : "not computed yet";
    cell.setAttribute("aria-label", `${cell.dataset.place}: ${value}`);
  }
  for (const box of document.querySelectorAll(".gradient")) box.hidden = !backward;
  for (const box of document.querySelectorAll(".part"))
    box.classList.toggle("now", position > 0 && reached.get(box.dataset.array) === position);
}

function svg(tag, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

const isOneColumn = () => getComputedStyle($("board")).gridTemplateAreas === "none";

// From left to right; where the board is one column, from top to bottom if that does not fit.
function layOut() {
  const [graph, stage, board] = [$("graph"), $("stage"), $("board")];
  const fits = () => graph.scrollWidth <= stage.clientWidth;
  graph.classList.remove("down");
  board.classList.remove("wide");
  for (const box of graph.querySelectorAll(".card")) box.style.marginTop = "";
  if (!fits()) {
    board.classList.add("wide");
    graph.classList.toggle("down", isOneColumn() && !fits());
  }
  if (!graph.classList.contains("down")) centerCards(graph);
  reserve();
  scrollToResult(stage);
  drawLines();
  drawPaths();
}

// In a stage that is smaller than its graph, the latest result and its sources come to the middle;
// if they are too far apart, the result is seen.
function scrollToResult(stage) {
  const latest = lesson.steps.slice(0, position).findLast((step) => step.result !== null);
  if (!latest) return stage.scrollTo(0, 0);
  const result = rectangle(partOf(latest.result));
  const found = edges.filter((edge) => edge.to === latest.result && edge.from !== null);
  const boxes = [result, ...found.map((edge) => rectangle(partOf(edge.from)))];
  const start = (low, high, size) => {
    const all = [...boxes.map((box) => box[low]), ...boxes.map((box) => box[high])];
    const middle = (Math.min(...all) + Math.max(...all)) / 2;
    return Math.min(Math.max(middle - size / 2, result[high] + 40 - size), result[low] - 40);
  };
  stage.scrollTo(
    start("left", "right", stage.clientWidth), start("top", "bottom", stage.clientHeight),
  );
}

// Each card comes to the height of its sources.
function centerCards(graph) {
  const middles = new Map();
  for (const column of graph.querySelectorAll(".column")) {
    let bottom = 0;
    const boxes = [...column.children].map((box) => {
      const sources = edges.filter((edge) => !edge.back && edge.to === box.dataset.card);
      const all = sources.map((edge) => middles.get(card(edge.from)));
      const heights = all.filter((y) => y !== undefined);
      const middle = heights.reduce((sum, y) => sum + y, 0) / heights.length;
      return { box, top: heights.length ? middle - box.offsetHeight / 2 : 0 };
    });
    for (const { box, top } of boxes) {
      const gap = bottom ? parseFloat(getComputedStyle(column).rowGap) : 0;
      box.style.marginTop = `${Math.max(0, top - bottom - gap)}px`;
      bottom = Math.max(top, bottom + gap) + box.offsetHeight;
      middles.set(box.dataset.card, bottom - box.offsetHeight / 2);
    }
  }
}

function rectangle(node) {
  const [outer, inner] = [$("graph").getBoundingClientRect(), node.getBoundingClientRect()];
  const [left, top] = [inner.left - outer.left, inner.top - outer.top];
  const [right, bottom] = [left + inner.width, top + inner.height];
  return { left, top, right, bottom, x: (left + right) / 2, y: (top + bottom) / 2 };
}

// A curve that leaves one side of a rectangle and arrives at the facing side of another.
function curve(a, b, down) {
  const [low, high, middle] = down ? ["top", "bottom", "x"] : ["left", "right", "y"];
  const at = (along, across) => (down ? `${across} ${along}` : `${along} ${across}`);
  const gap = 3;
  let [start, end] = [a[low] - gap, b[low] - gap]; // side by side: around, on the near side
  let [leave, arrive] = [start - 28, end - 28];
  if (a[high] <= b[low]) [start, end] = [a[high] + gap, b[low] - gap];
  else if (b[high] <= a[low]) [start, end] = [a[low] - gap, b[high] + gap];
  if (a[high] <= b[low] || b[high] <= a[low]) leave = arrive = (start + end) / 2;
  return (
    `M ${at(start, a[middle])} C ${at(leave, a[middle])} ` +
    `${at(arrive, b[middle])} ${at(end, b[middle])}`
  );
}

const partOf = (name) => $("graph").querySelector(`[data-array="${name}"]`);

// The card of an array, at the height of the array's own numbers; below each other, the lines of
// the forward pass are left of those of the backward pass.
function port(name, down) {
  const part = partOf(name);
  const outer = rectangle(part.closest(".card"));
  const x = outer.x + (isGradient(name) ? 16 : -16);
  return down ? { ...outer, x } : { ...outer, y: rectangle(part.querySelector(".scroll")).y };
}

// The card of a cell, at the height of the cell: a line ends at the card, not across its numbers.
const atHeightOf = (cell) => ({ ...rectangle(cell.closest(".card")), y: rectangle(cell).y });

// Where a gradient comes from that no step of the lesson computes: a place behind its card.
function outside(to, down) {
  const [x, y] = [to.right + 40, to.bottom + 36];
  return down ? { ...to, top: y, bottom: y } : { ...to, left: x, right: x };
}

function drawLines() {
  const down = $("graph").classList.contains("down");
  const drawn = [];
  for (const edge of edges) {
    const now = edge.step === position;
    if (edge.back && edge.step > position) continue;
    if (edge.from !== null && partOf(edge.from).hidden) continue;
    if (edge.value && !now) continue; // a value is lent to a gradient's step only
    const back = edge.back && !edge.value;
    const kinds = { back, value: edge.value, now, reached: edge.step <= position };
    const names = Object.keys(kinds).filter((name) => kinds[name]);
    const to = port(edge.to, down);
    const from = edge.from === null ? outside(to, down) : port(edge.from, down);
    const d = curve(from, to, down);
    drawn.push(svg("path", { d, class: ["line", ...names].join(" ") }));
    if (!edge.value) drawn.push(tip(d, names, down));
  }
  document.querySelector(".lines").replaceChildren(...drawn);
}

// The arrowhead at the end of a curve.
function tip(d, names, down) {
  const numbers = d.match(/-?[\d.]+/g).map(Number);
  const [x, y] = numbers.slice(-2);
  const ahead = Math.sign((down ? y : x) - numbers[down ? 5 : 4]) || 1;
  const [back, side] = [-8 * ahead, 4.5];
  const points = down
    ? `M ${x} ${y} l ${-side} ${back} h ${2 * side} z`
    : `M ${x} ${y} l ${back} ${-side} v ${2 * side} z`;
  return svg("path", { d: points, class: ["tip", ...names].join(" ") });
}

// From each number of the calculation that is shown to its result.
function drawPaths(active = null) {
  const down = $("graph").classList.contains("down");
  const drawn = [];
  const terms = shown === null || down ? [] : calculation(shown).terms;
  for (const [n, term] of terms.entries())
    for (const [from, to] of term.paths) {
      const [a, b] = [cells.get(from), cells.get(to)];
      if (a.closest(".column") === b.closest(".column")) continue; // the outlines say enough
      const d = curve(atHeightOf(a), atHeightOf(b), false);
      const kind = isGradient(nameOf(from)) ? "path back" : "path";
      drawn.push(svg("path", { d, class: active === n ? `${kind} active` : kind }));
    }
  document.querySelector(".paths").replaceChildren(...drawn);
}

const nameOf = (cell) => cells.get(cell).closest(".part").dataset.array;

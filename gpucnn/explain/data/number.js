// One number: how it came about, or what it goes into.
let shown = null; // the key of the number whose calculation is shown
let chosen = null; // the one that has or had the focus; one under the mouse is shown before it
let origin = null; // where Escape leads from the terms

function show(of) {
  shown = of;
  for (const cell of cells.values()) {
    cell.classList.remove("target", "source", "active");
    delete cell.dataset.numbers;
  }
  $("sum").replaceChildren(...(of === null ? [hint()] : calculationOf(of)));
  keepHeight();
  if (of === null) return drawPaths();
  const cell = cells.get(of);
  const found = calculation(of);
  cell.classList.add("target");
  found.terms.forEach((term, n) => {
    for (const from of term.from) {
      const source = cells.get(from);
      source.classList.add("source");
      const numbers = source.dataset.numbers;
      source.dataset.numbers = numbers ? `${numbers.split("\u2026")[0]}\u2026` : n + 1;
    }
  });
  drawPaths();
  const { key: ofCell, of: ofRow } = document.activeElement.dataset;
  if (of === (ofCell ?? ofRow)) say(spoken(of, found));
}

function hint() {
  const text =
    "Point at a number, tap it, or go to it with Tab and the arrows: its window, its terms and " +
    "their sum are shown here. Enter goes to the terms, Escape goes back.";
  return make("p", { class: "hint" }, text);
}

function calculationOf(of) {
  const found = calculation(of);
  const result = make("p", { class: "result" }, make("b", {}, of), " = ");
  if (found.uses) result.append(cells.get(of).textContent, found.terms.length ? " goes into" : "");
  else result.append(found.terms.length ? found.opening : found.text);
  const list = make("ol", { class: "terms", "aria-label": `Terms of ${of}` });
  found.terms.forEach((term, n) => {
    const joiner = n && !found.uses ? found.joiner.trim() : "";
    const button = make(
      "button", { type: "button", tabindex: n ? -1 : 0 },
      make("span", { class: "number" }, String(n + 1)), make("span", { class: "joiner" }, joiner),
      make("span", { class: "product" }, product(term)),
      make("span", { class: "note" }, term.note),
    );
    button.dataset.term = n;
    list.append(make("li", {}, button));
  });
  rove(list, "button", 1);
  if (found.uses || !found.terms.length) return [result, list];
  return [result, list, make("p", { class: "total" }, `${found.closing} = ${found.shown}`.trim())];
}

// In two columns the box has the height of the longest calculation, and keeps that of a longer list
// of uses until the next step: the numbers below it do not move under the mouse.
function reserve() {
  $("sum").style.minHeight = "";
  const found = [...calculations.keys()].filter((of) => isReached(nameOf(of)));
  if (isOneColumn() || !found.length) return;
  const probes = found.map((of) => make("div", {}, ...calculationOf(of)));
  $("lens").append(...probes);
  const highest = Math.max(...probes.map((probe) => probe.offsetHeight));
  for (const probe of probes) probe.remove();
  $("sum").style.minHeight = `${highest}px`;
}

function keepHeight() {
  if (!isOneColumn()) $("sum").style.minHeight = `${$("sum").offsetHeight}px`;
}

function spoken(of, found) {
  if (!found.uses) return `${of} = ${found.equation}`.replaceAll(" * ", " times ");
  const uses = [...new Set(found.terms.map((term) => term.from[0]))];
  return uses.length ? `${of} goes into ${uses.join(", ")}` : "";
}

function activate(n) {
  const terms = calculation(shown).terms;
  for (const cell of cells.values()) cell.classList.remove("active");
  if (n !== null) for (const from of terms[n].from) cells.get(from).classList.add("active");
  $("graph").classList.toggle("one", n !== null);
  drawPaths(n);
}

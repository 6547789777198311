"use strict";
// Shows lessons, one step at a time. All numbers are strings of the lesson: nothing is computed.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const lessons = new Map(data.lessons.map((lesson) => [lesson.topic, lesson]));
  const $ = (id) => document.getElementById(id);

  let lesson; // the one that is shown
  let position; // 0 is the introduction, n the n-th step
  let shown; // the key of the number whose calculation is shown, or null
  let chosen; // the one that has or had the focus; a number under the mouse is shown before it
  let origin = null; // where the focus goes from the terms with Escape
  let arrays, reached; // of the lesson, by name: the array, and the step that gives it
  let calculations, cells; // by key: how a number came about, and where it is shown
  let edges; // from each array to each result that it goes into

  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children); // strings become text, never markup
    return node;
  }

  // -- The lesson as tables ---------------------------------------------------------------------

  const key = (array, index) => (index.length ? `${array}[${index.join(",")}]` : array);

  function place(array, index) {
    if (index.length === 2) return `${array} row ${index[0]} column ${index[1]}`;
    if (index.length === 1) return `${array} position ${index[0]}`;
    return index.length ? `${array} at ${index.join(", ")}` : array;
  }

  function indices(shape) {
    let all = [[]];
    for (const size of shape)
      all = all.flatMap((index) => Array.from({ length: size }, (_, i) => [...index, i]));
    return all;
  }

  function take(found) {
    lesson = found;
    lessons.set(found.topic, found);
    arrays = new Map(found.arrays.map((array) => [array.name, array]));
    reached = new Map(found.arrays.map((array) => [array.name, 0]));
    calculations = new Map();
    found.steps.forEach((step, n) => {
      if (step.result !== null) reached.set(step.result, n + 1);
      for (const element of step.elements)
        calculations.set(key(step.result, element.index), { ...element, array: step.result });
    });
    edges = found.steps.flatMap((step, n) => (step.result === null ? [] : edgesTo(step, n + 1)));
  }

  // A gradient that is given, not computed, comes from outside, which is null.
  function edgesTo({ result, elements }, step) {
    const back = isGradient(result);
    const names = elements.flatMap((e) => e.terms.flatMap((t) => t.cells.map(([name]) => name)));
    if (back && !names.length) names.push(null);
    return [...new Set(names)]
      .filter((from) => from === null || card(from) !== card(result))
      .map((from) => ({ from, to: result, step, back, value: back && from !== null && !isGradient(from) }));
  }

  // Each array is in the column before its first use, so that lines are short.
  function columns() {
    const found = new Map(lesson.arrays.map((array) => [array.name, array.column]));
    for (const { name } of [...lesson.arrays].reverse()) {
      const uses = edges.filter((e) => !e.back && card(e.from) === name).map((e) => found.get(e.to));
      if (uses.length) found.set(name, Math.min(...uses) - 1);
    }
    return found;
  }

  const isReached = (name) => reached.get(name) <= position;
  const isGradient = (name) => arrays.get(name).gradient_of !== null;
  const card = (name) => arrays.get(name).gradient_of ?? name;

  // The text of a result; "= 2" is left out where the calculation is the number itself.
  const equals = (text, value) => (text.replace(/^[()]+|[()]+$/g, "") === value ? "" : ` = ${value}`);

  // -- The stage: a card an array, in columns ---------------------------------------------------

  function buildStage() {
    cells = new Map();
    const places = columns();
    const boxes = [];
    const values = lesson.arrays.filter((array) => array.gradient_of === null);
    const isResult = (array) => reached.get(array.name) > 0;
    for (const array of [...values.filter(isResult), ...values.filter((each) => !isResult(each))]) {
      const gradients = lesson.arrays.filter((each) => each.gradient_of === array.name);
      const box = make("div", { class: "card" }, ...[array, ...gradients].map(part));
      box.dataset.card = array.name;
      (boxes[places.get(array.name)] ??= make("div", { class: "column" })).append(box);
    }
    const lines = [svg("lines"), svg("paths")];
    $("graph").replaceChildren(lines[0], ...boxes.filter(Boolean), lines[1]);
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

  // -- Lines ------------------------------------------------------------------------------------

  function svg(name, attributes = {}) {
    const tag = name === "path" ? "path" : "svg";
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    if (tag === "svg") Object.assign(attributes, { class: name, "aria-hidden": "true" });
    for (const [each, value] of Object.entries(attributes)) node.setAttribute(each, value);
    return node;
  }

  // From left to right; where the board is one column, from top to bottom if that does not fit.
  function layOut() {
    const [graph, stage, board] = [$("graph"), $("stage"), $("board")];
    const fits = () => graph.scrollWidth <= stage.clientWidth;
    graph.classList.remove("down");
    board.classList.remove("wide");
    for (const box of graph.querySelectorAll(".card")) box.style.marginTop = "";
    if (!fits()) {
      board.classList.add("wide");
      graph.classList.toggle("down", !fits() && getComputedStyle(board).gridTemplateAreas === "none");
    }
    if (!graph.classList.contains("down")) centerCards(graph);
    const now = graph.querySelector(".part.now");
    if (now) stage.scrollLeft = rectangle(now).x - stage.clientWidth / 2;
    drawLines();
    drawPaths();
  }

  // Each card comes to the height of its sources.
  function centerCards(graph) {
    const middles = new Map();
    for (const column of graph.querySelectorAll(".column")) {
      let bottom = 0;
      const boxes = [...column.children].map((box) => {
        const sources = edges.filter((e) => !e.back && e.to === box.dataset.card);
        const heights = sources.map((e) => middles.get(card(e.from))).filter((y) => y !== undefined);
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

  // The card of an array, at the height of the array's own numbers; below each other, the lines of
  // the forward pass are left of those of the backward pass.
  function port(name, down) {
    const part = $("graph").querySelector(`[data-array="${name}"]`);
    const outer = rectangle(part.closest(".card"));
    const x = outer.x + (isGradient(name) ? 16 : -16);
    return down ? { ...outer, x } : { ...outer, y: rectangle(part.querySelector(".scroll")).y };
  }

  // Where a gradient comes from that no step of the lesson computes: a place behind its card.
  function outside(to, down) {
    return down ? { ...to, top: to.bottom + 36, bottom: to.bottom + 36 }
      : { ...to, left: to.right + 40, right: to.right + 40 };
  }

  function drawLines() {
    const down = $("graph").classList.contains("down");
    const drawn = [];
    for (const edge of edges) {
      const now = edge.step === position;
      if (edge.back && edge.step > position) continue;
      if (edge.value && !now) continue; // a value is lent to a gradient's step only
      const kinds = { back: edge.back && !edge.value, value: edge.value, now, reached: edge.step <= position };
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
        const [a, b] = [rectangle(cells.get(from)), rectangle(cells.get(to))];
        const column = (each) => cells.get(each).closest(".column");
        if (column(from) === column(to)) continue; // the outlines say enough
        const d = curve(a, b, false);
        const kind = isGradient(nameOf(from)) ? "path back" : "path";
        drawn.push(svg("path", { d, class: active === n ? `${kind} active` : kind }));
      }
    document.querySelector(".paths").replaceChildren(...drawn);
  }

  const nameOf = (cell) => cells.get(cell).closest(".part").dataset.array;

  // -- One number -------------------------------------------------------------------------------

  // How a number came about; for one that is given, the calculations that it goes into.
  function calculation(of) {
    const element = calculations.get(of);
    if (element && isReached(element.array))
      return {
        ...element,
        terms: element.terms.map((term) => {
          const from = term.cells.map(([name, index]) => key(name, index));
          return { ...term, from, note: from.join(", "), paths: from.map((each) => [each, of]) };
        }),
      };
    const terms = [];
    for (const [result, each] of calculations)
      for (const term of isReached(each.array) ? each.terms : [])
        if (term.cells.some(([name, index]) => key(name, index) === of))
          terms.push({ ...term, from: [result], note: `in ${result}`, paths: [[of, result]] });
    return { terms, uses: true };
  }

  function show(of) {
    shown = of;
    for (const cell of cells.values()) {
      cell.classList.remove("target", "source", "active");
      delete cell.dataset.numbers;
    }
    const box = $("sum");
    box.replaceChildren();
    $("lens-hint").hidden = of !== null;
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
    const result = make("p", { class: "result" }, make("b", {}, of), " = ");
    if (found.uses) result.append(cell.textContent, found.terms.length ? " goes into" : "");
    else result.append(found.terms.length ? found.opening : found.text);
    const list = make("ol", { class: "terms", "aria-label": `Terms of ${of}` });
    found.terms.forEach((term, n) => {
      const joiner = n && !found.uses ? found.joiner.trim() : "";
      const button = make(
        "button", { type: "button", tabindex: n ? -1 : 0 },
        make("span", { class: "number" }, String(n + 1)), make("span", { class: "joiner" }, joiner),
        make("span", { class: "product" }, term.text + equals(term.text, term.shown)),
        make("span", { class: "note" }, term.note),
      );
      button.dataset.term = n;
      list.append(make("li", {}, button));
    });
    rove(list, "button", 1);
    box.append(result, list);
    if (!found.uses) box.append(make("p", { class: "total" }, `${found.closing} = ${found.shown}`.trim()));
    drawPaths();
    if (cell === document.activeElement || document.activeElement.dataset.of === of) say(spoken(of, found));
  }

  function spoken(of, found) {
    if (!found.uses) return `${of} is ${found.text}, which is ${found.shown}`.replaceAll(" * ", " times ");
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

  // Announced by screen readers.
  const say = (text) => ($("live").textContent = text);

  // -- Steps ------------------------------------------------------------------------------------

  function goTo(n) {
    const last = lesson.steps.length;
    position = Math.min(Math.max(n, 0), last);
    const step = lesson.steps[position - 1];
    const lost = ["rows", "lens"].some((id) => $(id).contains(document.activeElement));
    $("pass").textContent = step
      ? `${step.backward ? "Backward" : "Forward"} \u00b7 step ${position} of ${last}`
      : `Start \u00b7 ${last} steps follow`;
    $("words").className = step?.backward ? "back" : "";
    $("rule").textContent = step ? step.rule : "Introduction";
    $("formula").textContent = step?.formula ?? "";
    $("formula").hidden = !step?.formula;
    const paragraphs = step ? [step.text] : lesson.introduction;
    $("text").replaceChildren(...paragraphs.map((text) => make("p", {}, text)));
    $("elements").replaceChildren(...(step?.elements ?? []).map((e, i) => row(step, e, i)));
    $("rows").hidden = !step?.elements.length;
    $("first").disabled = $("previous").disabled = position === 0;
    $("next").disabled = $("last").disabled = position === last;
    for (const button of $("timeline").querySelectorAll("button")) {
      const here = Number(button.dataset.step) === position;
      button.toggleAttribute("aria-current", here);
      if (here) button.setAttribute("aria-current", "step");
    }
    chosen = null;
    fillStage();
    layOut();
    show(step?.elements.length ? key(step.result, step.elements[0].index) : null);
    if (lost || document.activeElement?.disabled || document.activeElement === document.body)
      $("rule").focus({ preventScroll: true });
    say(`${$("pass").textContent}: ${$("rule").textContent}`);
  }

  function row(step, element, n) {
    const of = key(step.result, element.index);
    const text = `${of} = ${element.text}${equals(element.text, element.shown)}`;
    const button = make("button", { type: "button", tabindex: n ? -1 : 0 }, text);
    button.dataset.of = of;
    return make("li", { class: step.backward ? "back" : "" }, button);
  }

  function buildTimeline() {
    const button = (n, name, kind) => {
      const node = make("button", { type: "button", class: kind, "aria-label": name, title: name });
      node.textContent = n || "Start";
      node.dataset.step = n;
      return make("li", {}, node);
    };
    const names = lesson.steps.map((step, n) =>
      button(n + 1, `Step ${n + 1}, ${step.backward ? "backward" : "forward"}: ${step.rule}`,
        step.backward ? "back" : ""));
    $("timeline").replaceChildren(button(0, "Introduction", ""), ...names);
  }

  function open(found, at = 0) {
    take(found);
    $("title").textContent = found.title;
    document.title = `${found.title} - gpucnn explain`;
    for (const button of $("topics").querySelectorAll("button"))
      button.setAttribute("aria-pressed", button.dataset.topic === found.topic);
    buildTimeline();
    buildStage();
    goTo(at);
  }

  // -- Numbers of one's own ---------------------------------------------------------------------

  let given = {}; // what was typed, by the name of the input
  let request = 0;

  function buildForm() {
    const served = data.served;
    const fields = Object.entries(lesson.inputs).map(([name, text]) => {
      const field = make("input", { id: `input-${name}`, name, spellcheck: "false", value: text });
      field.readOnly = !served;
      const label = make("label", { for: field.id }, make("b", {}, name));
      label.append(` ${data.inputs[lesson.topic][name]}`);
      const error = make("p", { class: "error", id: `error-${name}`, role: "alert" });
      return make("div", { class: "field" }, label, field, error);
    });
    $("form").replaceChildren(...fields);
    $("numbers-hint").textContent = served
      ? "Change a field and press Enter. Spaces separate numbers, semicolons separate rows. " +
        "An empty field takes its default."
      : "These are the inputs. For other numbers, type one of these commands:";
    const [name, text] = Object.entries(lesson.inputs)[0];
    $("command").hidden = served;
    $("command").textContent =
      `gpucnn explain ${lesson.topic} --input ${name}="${text}" --html ${lesson.topic}.html\n` +
      `gpucnn explain ${lesson.topic} --serve`;
  }

  async function ask(changed) {
    const asked = ++request;
    given[changed] = $(`input-${changed}`).value;
    const query = new URLSearchParams({ topic: lesson.topic });
    for (const [name, text] of Object.entries(given)) if (text.trim()) query.set(name, text);
    let found;
    let failed = { message: "the server does not answer", fix: "start it again" };
    try {
      const answer = await fetch(`lesson?${query}`);
      if (answer.ok) found = await answer.json();
      else if (answer.headers.get("Content-Type") === "application/json") failed = await answer.json();
      else failed = { message: await answer.text() };
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // a TypeError is a network's failure
    }
    if (asked !== request) return;
    for (const field of $("form").elements) mark(field, "");
    if (!found) {
      const parts = [failed.message, failed.cause && `cause: ${failed.cause}`, failed.fix && `fix: ${failed.fix}`];
      mark($(`input-${failed.input ?? changed}`), parts.filter(Boolean).join("\n"));
      return;
    }
    open(found, position);
    for (const field of $("form").elements)
      if (field !== document.activeElement || field.name === changed) field.value = found.inputs[field.name];
  }

  function mark(field, text) {
    const error = $(`error-${field.name}`);
    if (error.textContent !== text) error.textContent = text;
    field.toggleAttribute("aria-invalid", text !== "");
    if (text) field.setAttribute("aria-invalid", "true");
    if (text) field.setAttribute("aria-describedby", error.id);
    else field.removeAttribute("aria-describedby");
  }

  // -- Events -----------------------------------------------------------------------------------

  // One stop of the Tab key for a group of nodes; the arrows move inside of it.
  function rove(group, tag, width) {
    group.addEventListener("keydown", (event) => {
      const all = [...group.querySelectorAll(tag)];
      const n = all.indexOf(event.target);
      const column = n % width;
      const to = {
        ArrowLeft: width > 1 && column > 0 && n - 1,
        ArrowRight: width > 1 && column < width - 1 && n + 1,
        ArrowUp: n - width >= 0 && n - width,
        ArrowDown: n + width < all.length && n + width,
        Home: n - column,
        End: n - column + width - 1,
      }[event.key];
      if (n < 0 || to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      if (width === 1 && tag === "button" && !["ArrowUp", "ArrowDown"].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      if (to !== false) all[to].focus();
    });
    group.addEventListener("focusin", (event) => {
      if (!event.target.matches(tag)) return;
      for (const node of group.querySelectorAll(tag)) node.tabIndex = node === event.target ? 0 : -1;
    });
  }

  // The number that an event is about.
  function numberAt(event) {
    const node = event.target.closest?.("[data-key], [data-of]");
    const of = node && (node.dataset.key ?? node.dataset.of);
    return of && isReached(nameOf(of)) ? of : null;
  }

  for (const place of [$("stage"), $("elements")]) {
    place.addEventListener("mouseover", (event) => {
      const of = numberAt(event) ?? chosen;
      if (of !== null && of !== shown) show(of);
    });
    place.addEventListener("mouseleave", () => chosen !== null && chosen !== shown && show(chosen));
    place.addEventListener("focusin", (event) => {
      chosen = numberAt(event);
      show(chosen);
    });
    place.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || shown === null) return;
      event.preventDefault();
      origin = document.activeElement;
      $("sum").querySelector("button")?.focus();
    });
  }
  rove($("elements"), "button", 1);

  const termAt = (event) => event.target.closest("[data-term]");
  for (const kind of ["mouseover", "focusin"])
    $("sum").addEventListener(kind, (event) => {
      const term = termAt(event) ?? document.activeElement.closest("[data-term]");
      activate(term ? Number(term.dataset.term) : null);
    });
  for (const kind of ["mouseleave", "focusout"])
    $("sum").addEventListener(kind, () => shown !== null && activate(null));
  $("sum").addEventListener("keydown", (event) => {
    if (event.key === "Escape") origin?.focus();
  });

  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = lesson.steps.length;
    const to = { ArrowLeft: position - 1, ArrowRight: position + 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    goTo(to);
  });
  $("first").addEventListener("click", () => goTo(0));
  $("previous").addEventListener("click", () => goTo(position - 1));
  $("next").addEventListener("click", () => goTo(position + 1));
  $("last").addEventListener("click", () => goTo(lesson.steps.length));
  $("timeline").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) goTo(Number(button.dataset.step));
  });
  $("topics").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    given = {};
    open(lessons.get(button.dataset.topic));
    buildForm();
  });
  $("form").addEventListener("change", (event) => ask(event.target.name));
  $("form").addEventListener("submit", (event) => event.preventDefault());
  let width = 0;
  new ResizeObserver(([board]) => {
    if (board.contentRect.width !== width) layOut(); // its height changes with the layout itself
    width = board.contentRect.width;
  }).observe($("board"));

  $("lens-hint").textContent =
    "Point at a number, tap it, or go to it with Tab and the arrows: its window, its terms and " +
    "their sum are shown here. Enter goes to the terms, Escape goes back.";
  for (const topic of lessons.keys()) {
    const button = make("button", { type: "button" }, topic);
    button.dataset.topic = topic;
    $("topics").append(make("li", {}, button));
  }
  document.querySelector("nav").hidden = lessons.size < 2;
  open(data.lessons[0]);
  buildForm();
})();

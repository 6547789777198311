// The words, one number, all numbers, the fields and the keys.
let shown = null; // the key of the number whose calculation is shown
let chosen = null; // the one that has or had the focus; one under the mouse is shown before it
let origin = null; // where Escape leads from the terms

// -- One number -------------------------------------------------------------------------------

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
      make("span", { class: "product" }, product(term)),
      make("span", { class: "note" }, term.note),
    );
    button.dataset.term = n;
    list.append(make("li", {}, button));
  });
  rove(list, "button", 1);
  box.append(result, list);
  if (!found.uses)
    box.append(make("p", { class: "total" }, `${found.closing} = ${found.shown}`.trim()));
  drawPaths();
  const { key: ofCell, of: ofRow } = document.activeElement.dataset;
  if (of === (ofCell ?? ofRow)) say(spoken(of, found));
}

function spoken(of, found) {
  if (!found.uses) return `${of} = ${equation(found)}`.replaceAll(" * ", " times ");
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
  const focused = document.activeElement;
  const lost = ["rows", "lens"].some((id) => $(id).contains(focused));
  $("pass").textContent = step
    ? `${step.part} \u00b7 step ${position} of ${last}`
    : `Start \u00b7 ${last} steps follow`;
  $("words").className = step?.part ?? "";
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
    put(button, "aria-current", here ? "step" : null);
    button.tabIndex = here ? 0 : -1;
    if (here && $("timeline").contains(focused)) button.focus();
  }
  chosen = shown = null;
  fillStage();
  layOut();
  show(step?.elements.length ? key(step.result, step.elements[0].index) : null);
  if (lost || focused.disabled) $("rule").focus({ preventScroll: true });
  say(`${$("pass").textContent}: ${$("rule").textContent}`);
}

function row(step, element, n) {
  const of = key(step.result, element.index);
  const text = `${of} = ${equation(element)}`;
  const button = make("button", { type: "button", tabindex: n ? -1 : 0 }, text);
  button.dataset.of = of;
  return make("li", {}, button);
}

function buildTimeline() {
  const button = (n, name, kind) => {
    const node = make("button", { type: "button", class: kind, "aria-label": name, title: name });
    node.textContent = n || "Start";
    node.dataset.step = n;
    return make("li", {}, node);
  };
  const names = lesson.steps.map((step, n) =>
    button(n + 1, `Step ${n + 1}, ${step.part}: ${step.rule}`, step.part));
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

const given = { [data.lessons[0].topic]: data.given ?? {} }; // by topic, then by the input's name
let request = 0; // the number of the latest

function buildForm() {
  const served = data.given !== null;
  const fields = Object.entries(lesson.inputs).map(([name, text]) => {
    const fixed = { spellcheck: "false", maxlength: 1000 };
    const field = make("input", { id: `input-${name}`, name, value: text, ...fixed });
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
  const texts = (given[lesson.topic] ??= {});
  texts[changed] = $(`input-${changed}`).value.trim();
  const query = new URLSearchParams({ topic: lesson.topic, ...texts });
  let found;
  let failed = { message: "the server does not answer", fix: "start it again" };
  try {
    const answer = await fetch(`lesson?${query}`);
    if (answer.ok) found = await answer.json();
    else failed = await answer.json();
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error; // no answer
  }
  if (asked !== request) return;
  for (const field of $("form").elements) mark(field, "");
  if (!found) {
    const lines = [failed.message];
    for (const name of ["cause", "fix"]) if (failed[name]) lines.push(`${name}: ${failed[name]}`);
    mark($(`input-${failed.input ?? changed}`), lines.join("\n"));
    return;
  }
  open(found, position);
  for (const field of $("form").elements) field.value = found.inputs[field.name];
}

function mark(field, text) {
  const error = $(`error-${field.name}`);
  if (error.textContent !== text) error.textContent = text;
  put(field, "aria-invalid", text ? "true" : null);
  put(field, "aria-describedby", text ? error.id : null);
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

// The mouse counts when it moves, not when the page moves under it.
for (const place of [$("stage"), $("elements")]) {
  place.addEventListener("mousemove", (event) => {
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

// The term under the mouse, else the one that has the focus.
for (const kind of ["mousemove", "mouseleave", "focusin", "focusout"])
  $("sum").addEventListener(kind, ({ target, type }) => {
    const under = type === "mousemove" && target.closest("[data-term]");
    const term = under || document.activeElement.closest("[data-term]");
    if (shown !== null) activate(term ? Number(term.dataset.term) : null);
  });
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
  request++; // an answer for the old topic is too late
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

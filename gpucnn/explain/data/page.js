// The steps, and what a mouse and keys do.
// Announced by screen readers.
const say = (text) => ($("live").textContent = text);

// -- Steps ------------------------------------------------------------------------------------

const within = (found, n) => Math.min(Math.max(n, 0), found.steps.length);

function goTo(n) {
  showStep(n);
  keepAddress();
}

function showStep(n) {
  const last = lesson.steps.length;
  position = within(lesson, n);
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
  const text = `${of} = ${element.equation}`;
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

function open(found, at) {
  take(found);
  $("title").textContent = found.title;
  document.title = `${found.title} - gpucnn explain`;
  for (const button of $("topics").querySelectorAll("button"))
    button.setAttribute("aria-pressed", button.dataset.topic === found.topic);
  $("legend-update").hidden = !found.steps.some((step) => step.part === "update");
  buildTimeline();
  buildStage();
  showStep(at);
}

function openTopic(found) {
  request++; // an answer for the old topic is too late
  open(found, 0);
  buildForm();
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
  openTopic(lessons.get(button.dataset.topic));
  keepAddress();
});
$("form").addEventListener("change", (event) => change(event.target));
$("form").addEventListener("submit", (event) => event.preventDefault());
let width = 0;
new ResizeObserver(([board]) => {
  if (board.contentRect.width !== width) layOut(); // its height changes with the layout itself
  width = board.contentRect.width;
}).observe($("board"));

for (const topic of lessons.keys()) {
  const button = make("button", { type: "button" }, topic);
  button.dataset.topic = topic;
  $("topics").append(make("li", {}, button));
}
document.querySelector("nav").hidden = lessons.size < 2;
addEventListener("hashchange", follow);
openTopic(data.lessons[0]);
if (location.hash) follow();
else history.replaceState(null, "", addressOf(lesson.topic, position, lesson.given));

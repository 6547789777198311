// Asking the server, and showing what it answers. Nothing of the network is computed here.
const MOST_BARS = 12; // classes that all have a bar; of more, the most probable have one
const PAUSE = 40; // milliseconds between an answer and the next request
const QUIET = 600; // milliseconds without a change before a screen reader hears the answer

const data = JSON.parse($("data").textContent);
const make = (tag, properties = {}, ...inside) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...inside);
  return node;
};
const percent = (share) => `${(100 * share).toFixed(1)} %`;
// The name of a class, with escapes for characters that are not seen, which could reorder the page.
const shown = (name) => (Object.hasOwn(data.shown, name) ? data.shown[name] : name);
const say = (text) => ($("live").textContent = text);

let wanted = null; // what to ask next: a function that makes the body of a request
let asking = false;
let paper = 0; // counts blank papers: an answer about an earlier one is too late
let speaking = 0;

// Ask for an answer to what `makeBody` gives. While a request is under way, only the last waits.
async function ask(makeBody) {
  wanted = makeBody;
  if (asking) return;
  asking = true;
  while (wanted) {
    const [body, mine] = [wanted(), paper];
    wanted = null;
    const answer = await request(body); // one after the other, so the last one shows last
    if (mine === paper) show(answer);
    await new Promise((resume) => setTimeout(resume, PAUSE));
  }
  asking = false;
}

// Show nothing, as for a blank paper.
function forget() {
  wanted = null;
  paper++;
  show({});
}

async function request(body) {
  const isForm = body instanceof FormData;
  try {
    const answer = await fetch("predict?layers=1", {
      method: "POST",
      body: isForm ? body : JSON.stringify(body),
      headers: isForm ? {} : { "Content-Type": "application/json" },
    });
    return await answer.json();
  } catch {
    return { error: { message: "the server does not answer", fix: "is gpucnn serve still running?" } };
  }
}

function show({ predictions, input, layers, error }) {
  const found = predictions?.[0];
  $("best").textContent = found ? shown(found.label) : "";
  $("glance").textContent = found ? `${shown(found.label)} (${percent(found.probability)})` : "";
  $("bars").replaceChildren(...(found ? bars(found.probabilities) : bars({})));
  const notes = found?.notes.map((note) => `note: ${note}`) ?? [];
  const problem = error && [error.message, error.cause, error.fix].filter(Boolean);
  $("problem").textContent = (problem ?? notes).join("\n");
  $("input").hidden = !input;
  if (input) $("input").src = input;
  $("input").alt = input ? "The image that the network gets" : "";
  showLayers(layers ?? []);
  clearTimeout(speaking);
  const text = found && [`${shown(found.label)}, ${percent(found.probability)}`, ...notes].join("; ");
  // An error is heard where it is shown; an answer before it is no longer one.
  if (found) speaking = setTimeout(() => say(text), QUIET);
  else if (error) say("");
}

function bars(probabilities) {
  const few = data.classes.length <= MOST_BARS;
  const names = few ? data.classes : Object.keys(probabilities);
  const by = few ? names : names.sort((a, b) => probabilities[b] - probabilities[a]);
  $("bars").className = by.some((name) => name.length > 3) ? "long" : "";
  return by.slice(0, MOST_BARS).map((name) => {
    const share = probabilities[name];
    const bar = make("div", { className: "bar" });
    // A network that was trained with mean_squared_error has outputs outside of 0 to 1.
    bar.style.width = `${100 * Math.min(Math.max(share ?? 0, 0), 1)}%`;
    const track = make("div", { className: "track", ariaHidden: "true" }, bar);
    const value = make("span", { className: "value" }, share === undefined ? "" : percent(share));
    return make("li", {}, make("b", {}, shown(name)), track, value);
  });
}

function showLayers(layers) {
  $("layers").replaceChildren(
    ...layers.map(({ name, shape: [channels, height, width], most, maps }) => {
      const more = channels > maps.length ? `${maps.length} of ` : "";
      const text =
        `${more}${channels} feature maps of ${height} x ${width}. ` +
        `White is 0, red is up to ${most.toPrecision(3)}, blue is below 0.`;
      const images = maps.map((map, n) =>
        make("img", { src: map, alt: `Feature map ${n + 1} of ${name}`, title: `map ${n + 1}` }));
      return make(
        "div", { className: "layer" },
        make("h3", {}, name),
        make("p", { className: "hint" }, text),
        make("div", { className: "maps" }, ...images),
      );
    }),
  );
}

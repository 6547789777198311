// The lesson as the page needs it. Every number is a text of the library: nothing is computed here.
const data = JSON.parse(document.getElementById("data").textContent);
const lessons = new Map(data.lessons.map((each) => [each.topic, each]));

let lesson; // the one that is shown
let position; // 0 is the introduction, n the n-th step
let arrays, reached; // by name: an array of the lesson, and the step that gives it
let calculations; // by key: how a number of a result came about
let edges; // from each array to each result that it goes into

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
    .map((from) => {
      const value = back && from !== null && !isGradient(from); // a factor that is no gradient
      return { from, to: result, step, back, value };
    });
}

// Each array is in the column before its first use, so that lines are short.
function columns() {
  const found = new Map(lesson.arrays.map((array) => [array.name, array.column]));
  for (const { name } of [...lesson.arrays].reverse()) {
    const used = edges.filter((edge) => !edge.back && card(edge.from) === name);
    const uses = used.map((edge) => found.get(edge.to));
    if (uses.length) found.set(name, Math.min(...uses) - 1);
  }
  return found;
}

const isReached = (name) => reached.get(name) <= position;
const isGradient = (name) => arrays.get(name).gradient_of !== null;
const card = (name) => arrays.get(name).gradient_of ?? name;

const product = ({ text, shown }) =>
  text === shown || text === `(${shown})` ? text : `${text} = ${shown}`;

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

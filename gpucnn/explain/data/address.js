// The fragment of the address, as in #conv/3?w=0+3: the topic, the step and the numbers given.
const query = (given) => String(new URLSearchParams(given));

function addressOf(topic, step, given) {
  const numbers = query(given);
  return `#${topic}/${step}${numbers && "?"}${numbers}`;
}

// A new entry of the history, for Back.
function keepAddress() {
  const address = addressOf(lesson.topic, position, lesson.given);
  if (location.hash !== address) history.pushState(null, "", address);
}

// Shows the lesson of the address; one that names none takes that of the lesson that is shown.
function follow() {
  const [path, numbers] = location.hash.slice(1).split("?");
  const [topic, step] = path.split("/");
  const found = lessons.get(topic) ?? lesson;
  const at = found.topic === topic ? within(found, parseInt(step, 10) || 0) : position;
  const given = found.topic === topic ? givenIn(numbers, found) : lesson.given;
  history.replaceState(null, "", addressOf(found.topic, at, given));
  request++; // an answer for the old address is too late
  if (found === lesson) showStep(at);
  else open(found, at);
  buildForm();
  if (query(given) === query(found.given)) return;
  texts = given;
  for (const field of $("form").elements) field.value = given[field.name] ?? "";
  ask(Object.keys(found.inputs)[0]);
}

// A file has the numbers that it was made with.
function givenIn(numbers, { inputs, given }) {
  if (!served) return given;
  const all = [...new URLSearchParams(numbers)];
  return Object.fromEntries(all.filter(([name, text]) => Object.hasOwn(inputs, name) && text));
}

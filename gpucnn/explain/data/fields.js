// Numbers of one's own, which the server computes with.
for (const each of data.lessons) each.given = {}; // the texts of the inputs that are no defaults
data.lessons[0].given = data.given ?? {};
const served = data.given !== null;
let texts; // those of the fields, which may be wrong still
let request = 0; // the number of the latest

function buildForm() {
  texts = { ...lesson.given };
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
    : "A file cannot compute. In a terminal, put your own numbers in place of these, or open the " +
      "page with --serve and change them here:";
  const [name, text] = Object.entries(lesson.inputs)[0];
  $("command").hidden = served;
  $("command").textContent =
    `gpucnn explain ${lesson.topic} --input ${name}="${text}" --html ${lesson.topic}.html\n` +
    `gpucnn explain ${lesson.topic} --serve`;
  $("held").hidden = true;
}

function change(field) {
  const text = field.value.trim();
  if (text) texts[field.name] = text;
  else delete texts[field.name];
  ask(field.name);
}

// Shows the lesson with the texts, or why there is none.
async function ask(changed) {
  const asked = ++request;
  const given = { ...texts };
  let found;
  let failed = [{ message: "the server does not answer", fix: "start it again" }];
  try {
    const answer = await fetch(`lesson?${query({ topic: lesson.topic, ...given })}`);
    if (answer.ok) found = await answer.json();
    else failed = (await answer.json()).errors;
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error; // no answer
  }
  if (asked !== request) return;
  $("held").hidden = Boolean(found);
  if (!found) return markErrors(failed, changed);
  for (const field of $("form").elements) mark(field, "");
  found.given = given;
  open(found, position);
  keepAddress();
  for (const field of $("form").elements) field.value = found.inputs[field.name];
}

// An error of several fields is shown at the one that was changed, and stays there.
function markErrors(errors, changed) {
  const fields = [...$("form").elements];
  const marks = new Map();
  for (const error of errors) {
    const lines = [error.message];
    for (const name of ["cause", "fix"]) if (error[name]) lines.push(`${name}: ${error[name]}`);
    const text = lines.join("\n");
    const before = fields.find((field) => $(`error-${field.name}`).textContent === text);
    marks.set(error.input ?? before?.name ?? changed, text);
  }
  for (const field of fields) mark(field, marks.get(field.name) ?? "");
}

function mark(field, text) {
  const error = $(`error-${field.name}`);
  if (error.textContent !== text) error.textContent = text;
  put(field, "aria-invalid", text ? "true" : null);
  put(field, "aria-describedby", text ? error.id : null);
}

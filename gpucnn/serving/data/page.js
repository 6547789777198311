// The page for this model: a paper, a place for pictures, or a sentence.
$("model").textContent = `${data.model}: ${data.classes.length} classes`;
for (const node of document.querySelectorAll(".shape")) node.textContent = data.shape;
$("answer").hidden = $("seen").hidden = data.way === "none";

if (data.way === "draw") {
  $("title").textContent = "Draw a digit";
  $("drawing").hidden = false;
  changed = () => {
    if (strokes.length) ask(() => ({ canvas: canvas.toDataURL("image/png") }));
    else forget();
  };
  showPen();
  paint();
} else if (data.way === "picture") {
  $("title").textContent = "Give it a picture";
  $("pictures").hidden = false;
  const take = (file) => {
    if (!file) return;
    ask(() => {
      const form = new FormData();
      form.append("file", file);
      return form;
    });
  };
  $("file").addEventListener("change", () => take($("file").files[0]));
  const drop = $("pictures");
  const over = (is) => (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", is);
  };
  drop.addEventListener("dragover", over(true));
  drop.addEventListener("dragleave", over(false));
  drop.addEventListener("drop", (event) => {
    over(false)(event);
    $("file").files = event.dataTransfer.files; // its name stands beside the button
    take($("file").files[0]);
  });
  show({});
} else {
  $("title").textContent = "This model takes no pictures";
  $("none").hidden = false;
  $("why").textContent = data.why;
  $("curl").textContent =
    `curl -H "Content-Type: application/json" -d @images.json ${location.origin}/predict`;
}

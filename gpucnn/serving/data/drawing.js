// The paper: strokes of a round pen, by a mouse, fingers, a stylus or the keyboard.
const $ = (id) => document.getElementById(id);

const BRUSH = 20; // pixels of the canvas, of 280
const STEP = 10; // pixels that a key moves the pen

const canvas = $("canvas");
const context = canvas.getContext("2d", { willReadFrequently: true }); // for each request
const strokes = []; // each is a list of points [x, y]
const drawn = new Map(); // pointer -> the stroke that it draws
const pen = { x: 140, y: 60, stroke: null }; // of the keyboard; a stroke while it is down
let changed = () => {}; // called after each change of the strokes

function paint() {
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.strokeStyle = "#000000";
  context.lineWidth = BRUSH;
  context.lineCap = context.lineJoin = "round";
  for (const [[x, y], ...rest] of strokes) {
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x, y); // a stroke of one point is a dot
    for (const [nextX, nextY] of rest) context.lineTo(nextX, nextY);
    context.stroke();
  }
  $("undo").disabled = $("clear").disabled = strokes.length === 0;
  changed();
}

function pointOf(event) {
  const box = canvas.getBoundingClientRect();
  const scale = canvas.width / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  const stroke = [pointOf(event)];
  drawn.set(event.pointerId, stroke);
  strokes.push(stroke);
  paint();
});
canvas.addEventListener("pointermove", (event) => {
  const stroke = drawn.get(event.pointerId);
  if (!stroke) return;
  const between = event.getCoalescedEvents?.() ?? [];
  for (const each of between.length ? between : [event]) stroke.push(pointOf(each));
  paint();
});
for (const end of ["pointerup", "pointercancel"])
  canvas.addEventListener(end, (event) => drawn.delete(event.pointerId));
canvas.addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch

// -- Undo and clear ---------------------------------------------------------------------------

function liftPen() {
  pen.stroke = null;
  $("pen").classList.remove("down");
}

// Keep the first strokes only.
function keep(count) {
  liftPen();
  drawn.clear();
  strokes.length = Math.max(count, 0);
  paint();
  say(strokes.length ? "The last stroke is gone" : "The paper is blank");
}

const undo = () => keep(strokes.length - 1);
const clear = () => keep(0);
$("undo").addEventListener("click", undo);
$("clear").addEventListener("click", clear);

// -- Keyboard ---------------------------------------------------------------------------------

const MOVES = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  Home: [-1, -1], PageUp: [1, -1], End: [-1, 1], PageDown: [1, 1],
};

function showPen() {
  $("pen").style.left = `${(100 * pen.x) / canvas.width}%`;
  $("pen").style.top = `${(100 * pen.y) / canvas.height}%`;
}

function movePen([right, down]) {
  pen.x = Math.min(Math.max(pen.x + right * STEP, 0), canvas.width);
  pen.y = Math.min(Math.max(pen.y + down * STEP, 0), canvas.height);
  pen.stroke?.push([pen.x, pen.y]);
  if (pen.stroke) paint();
  showPen();
}

function togglePen() {
  if (pen.stroke) liftPen();
  else {
    pen.stroke = [[pen.x, pen.y]];
    strokes.push(pen.stroke);
    $("pen").classList.add("down");
    paint();
  }
  say(pen.stroke ? "Pen down" : "Pen up");
}

canvas.addEventListener("keydown", (event) => {
  const undoes = event.key === "Backspace" || (event.key === "z" && (event.ctrlKey || event.metaKey));
  if (undoes) undo();
  else if (event.ctrlKey || event.metaKey || event.altKey) return;
  else if (event.key in MOVES) movePen(MOVES[event.key]);
  else if (event.key === " " || event.key === "Enter") togglePen();
  else if (event.key === "Escape" || event.key === "Delete") clear();
  else return;
  event.preventDefault();
});

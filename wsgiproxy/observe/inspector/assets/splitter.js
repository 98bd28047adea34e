// The line between the list and the detail: dragged, or moved by the arrow keys.

const [LEAST, MOST, STEP] = [20, 75, 2]; // percent of the width

/** Let it be moved. */
export function splitter(line) {
  const set = (percent) => {
    const value = Math.min(MOST, Math.max(LEAST, Math.round(percent)));
    line.setAttribute("aria-valuenow", String(value));
    document.body.style.setProperty("--list", `${value}%`);
  };
  line.addEventListener("pointerdown", (event) => {
    line.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  line.addEventListener("pointermove", (event) => {
    if (line.hasPointerCapture(event.pointerId)) set((100 * event.clientX) / innerWidth);
  });
  line.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -STEP, ArrowRight: STEP, Home: -100, End: 100 };
    if (!(event.key in steps)) return;
    set(Number(line.getAttribute("aria-valuenow")) + steps[event.key]);
    event.preventDefault();
  });
}

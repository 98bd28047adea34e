// Keys of a single letter. They can be switched off (WCAG 2.1.4), and are off where text is typed.

import { byId } from "./dom.js";

const KEPT = "inspector-keys";

const isTyped = (element) =>
  element instanceof HTMLElement && (element.isContentEditable || element.matches("input, textarea, select"));

function kept() {
  try {
    return localStorage.getItem(KEPT) !== "off";
  } catch {
    return true;
  }
}

/** Listen; each key has its action. Escape is no letter, and always there. */
export function listenToKeys(actions) {
  const box = byId("keys-on");
  box.checked = kept();
  box.addEventListener("change", () => {
    try {
      localStorage.setItem(KEPT, box.checked ? "on" : "off");
    } catch {
      // It holds until the page goes.
    }
  });
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open], [popover]:popover-open")) return;
    const { key } = event;
    if (!(key in actions) || (key !== "Escape" && (isTyped(event.target) || !box.checked))) return;
    if (actions[key](event) !== false) event.preventDefault();
  });
}

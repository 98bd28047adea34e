// What can be done: replay, copy, HAR files, clear and pause.

import { ask, post } from "./api.js";
import { byId } from "./dom.js";
import { count } from "./format.js";

const TOAST = 4000; // milliseconds

/** Say something for a moment. */
export function toast(text, isProblem = false) {
  const box = byId("toast");
  clearTimeout(box.timer);
  box.textContent = text;
  box.classList.toggle("bad", isProblem);
  box.classList.add("there");
  box.timer = setTimeout(() => box.classList.remove("there"), isProblem ? 3 * TOAST : TOAST);
}

/** Do it, and say what went wrong. */
export async function trying(action) {
  try {
    return await action();
  } catch (error) {
    toast(error.message, true);
    return undefined;
  }
}

/** Copy a text; where the browser does not let the page, show it selected. */
export async function copy(text, name) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`Copied as ${name}`);
  } catch {
    const dialog = byId("copy");
    const area = dialog.querySelector("textarea");
    byId("copy-title").textContent = `Copy as ${name}`;
    area.value = text;
    dialog.showModal();
    area.focus();
    area.select();
  }
}

/** Copy an exchange as a program that sends its request again. */
export const copyAs = (number, kind) =>
  trying(async () => copy(await (await ask(`exchanges/${number}/as/${kind}`)).text(), kind));

/** Send its request again; the number of the new exchange. */
export const replay = (number) =>
  trying(async () => (await post(`exchanges/${number}/replay`, {})).number);

/** Whether the person has said yes. */
function confirmed(text) {
  const dialog = byId("confirm");
  byId("confirm-text").textContent = text;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true });
  });
}

/** Forget all exchanges, after a question if there are any. */
export async function clear(number) {
  if (number && !(await confirmed(`Forget ${count(number, "exchange")}? They cannot be brought back.`))) return;
  await trying(() => post("clear", {}));
}

async function upload(file) {
  const { added } = await post(`har?name=${encodeURIComponent(file.name)}`, file);
  toast(`${count(added, "exchange")} from ${file.name}`);
}

/** HAR files: by the menu, and dropped on the page. */
export function takeFiles() {
  const input = byId("har-file");
  const drop = byId("drop");
  const take = async (files) => {
    for (const file of files) await trying(() => upload(file));
  };
  byId("har-upload").addEventListener("click", () => {
    byId("har-menu").hidePopover();
    input.click();
  });
  byId("har-all").addEventListener("click", () => byId("har-menu").hidePopover());
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = "";
  });
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    drop.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.hidden = true;
  });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    drop.hidden = true;
    take([...event.dataTransfer.files]);
  });
}

/** Menus stand below their buttons, and within the window. */
export function placeMenus() {
  for (const menu of document.querySelectorAll("[popover]")) {
    const opener = document.querySelector(`[popovertarget=${menu.id}]`);
    menu.addEventListener("toggle", (event) => {
      if (event.newState !== "open") return;
      const { left, bottom } = opener.getBoundingClientRect();
      const most = innerWidth - menu.offsetWidth - 8;
      menu.style.setProperty("--left", `${Math.max(8, Math.min(left, most))}px`);
      menu.style.setProperty("--top", `${bottom + 4}px`);
      menu.querySelector("button, a").focus();
    });
    menu.addEventListener("click", (event) => event.target.closest("button, a") && menu.hidePopover());
  }
}

// Edit and replay: the request of an exchange as a form, sent by Ctrl and Enter.

import { post, read } from "./api.js";
import { button, byId, fill, make, shown } from "./dom.js";

const BODY = {
  text: "",
  base64: "These bytes are no text; they stand here as base64.",
  same: "The body is sent as it was; what is typed here is sent in its place.",
};

export class Edit {
  /** @param sent is called with the number of the new exchange. */
  constructor(sent) {
    this.dialog = byId("edit");
    this.form = this.dialog.querySelector("form");
    this.fields = byId("edit-fields");
    this.problem = this.dialog.querySelector(".problem");
    this.sent = sent;
    byId("add-field").addEventListener("click", () => this.add("", "").firstElementChild.focus());
    for (const each of this.dialog.querySelectorAll(".close")) {
      each.addEventListener("click", () => this.dialog.close());
    }
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.dialog.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.form.requestSubmit();
    });
  }

  /** Fetch what can be edited, and show it. */
  async open(number) {
    const { method, target, headers, body, body_encoding: encoding } = await read(`exchanges/${number}/editable`);
    this.number = number;
    this.encoding = encoding;
    this.problem.textContent = "";
    const { elements } = this.form;
    elements.method.value = method;
    elements.target.value = target;
    elements.body.value = body ?? "";
    // A text area has its own ends of lines: what is left as it is has to be sent as it was.
    this.body = elements.body.value;
    fill(this.fields);
    for (const [name, value] of headers) this.add(name, value);
    byId("edit-title").textContent = `Edit and replay exchange ${number}`;
    byId("edit-body-note").textContent = BODY[encoding];
    byId("edit-masked").hidden = ![target, body, ...headers.flat()].some((text) => text?.includes("***"));
    this.dialog.showModal();
    elements.target.focus();
  }

  add(name, value) {
    const row = make("div", { class: "field" });
    const input = (label, text, part) => {
      const box = make("input", { class: part, "aria-label": label, spellcheck: "false", autocapitalize: "off", dir: "ltr" });
      box.value = text;
      return box;
    };
    const remove = button("×", () => this.remove(row), { "aria-label": `Remove ${name || "the field"}`, class: "remove" });
    row.append(input("Name", name, "name"), input("Value", value, "value"), remove);
    const pieces = shown(value);
    // A box for text shows such characters as they are: they may turn the order of the others.
    if (pieces.length > 1) row.append(make("p", { class: "note data" }, "is ", pieces));
    this.fields.append(row);
    return row;
  }

  remove(row) {
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    (next?.querySelector(".remove") ?? byId("add-field")).focus();
  }

  get headers() {
    const rows = [...this.fields.children].map((row) => [row.children[0].value.trim(), row.children[1].value]);
    return rows.filter(([name]) => name);
  }

  get request() {
    const { method, target, body } = this.form.elements;
    const request = { method: method.value.trim(), target: target.value, headers: this.headers };
    if (body.value === this.body) return { ...request, body_encoding: "same", body: "" };
    const encoding = this.encoding === "same" ? "text" : this.encoding;
    return { ...request, body: body.value, body_encoding: encoding };
  }

  async send() {
    if (this.isSending) return;
    this.isSending = true;
    this.problem.textContent = "";
    try {
      const { number } = await post(`exchanges/${this.number}/replay`, this.request);
      this.dialog.close();
      this.sent(number);
    } catch (error) {
      this.problem.textContent = error.message;
    } finally {
      this.isSending = false;
    }
  }
}

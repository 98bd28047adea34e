"use strict";

// Events: one list item for each, with the time at which it came.
for (const box of document.querySelectorAll("[data-events]")) {
  const list = box.querySelector("ol");
  const again = box.querySelector("button");

  const listen = () => {
    list.replaceChildren();
    again.hidden = true;
    const start = performance.now();
    const source = new EventSource(box.dataset.events);
    const end = () => {
      source.close(); // or it would connect again
      again.hidden = false;
    };
    source.onmessage = (message) => {
      const { event, of } = JSON.parse(message.data);
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      const item = document.createElement("li");
      const time = document.createElement("span");
      time.textContent = `after ${seconds} s`;
      item.append(`Event ${event} of ${of}`, time);
      list.append(item);
      if (event === of) end();
    };
    source.onerror = end;
  };

  again.addEventListener("click", listen);
  listen();
}

// Forged fields: the same page again, asked for with them.
for (const button of document.querySelectorAll("[data-cheat]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const answer = await fetch(location.href, {
      headers: {
        Accept: "text/html",
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "https",
        "X-Real-IP": "6.6.6.6",
      },
    });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.getElementById("facts").replaceWith(page.getElementById("facts"));
    const heading = document.getElementById("knows-title");
    heading.textContent = "With your forged fields, the backend knows, and can prove it";
    heading.tabIndex = -1;
    heading.focus();
  });
}

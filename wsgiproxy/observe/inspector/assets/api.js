// What the page asks of the inspector, and the stream of what is new.

const WAITS = [500, 1000, 2000, 4000, 8000]; // milliseconds between attempts to come back

async function sentence(answer) {
  try {
    return (await answer.json()).error || answer.statusText;
  } catch {
    return `${answer.status} ${answer.statusText}`;
  }
}

/** The answer to a request; an Error with a sentence for people if it is none of success. */
export async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(`./api/${path}`, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The proxy does not answer; has it ended?");
  }
  if (!answer.ok) throw new Error(await sentence(answer));
  return answer;
}

/** A JSON value of the API. */
export const read = async (path, options) => (await ask(path, options)).json();

/** Post JSON, or a text that is JSON already, and read what comes back. */
export const post = (path, value) =>
  read(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: typeof value === "string" || value instanceof Blob ? value : JSON.stringify(value),
  });

/**
 * What is new, for as long as the page stands. Its takers are called
 * whole(summaries, state), changes({exchanges, first}), state(state) and link(name), whose name is
 * "live", "ended", or "crowded" where the proxy is there and gives no stream.
 */
export class Stream {
  constructor(takers) {
    this.takers = takers;
    this.failures = 0;
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => event.persisted && this.open());
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  open() {
    this.close();
    const source = new EventSource("./api/events");
    this.source = source;
    // What changes while the whole list is fetched comes after it.
    const early = [];
    const take = (kind) => (event) => {
      const value = JSON.parse(event.data);
      if (source.isWhole) this.takers[kind](value);
      else early.push([kind, value]);
    };
    source.addEventListener("exchanges", take("changes"));
    source.addEventListener("state", take("state"));
    source.addEventListener("error", () => this.lose(source));
    source.addEventListener("open", () => this.begin(source, early));
  }

  async begin(source, early) {
    try {
      const [{ exchanges }, state] = await Promise.all([read("exchanges"), read("state")]);
      if (source !== this.source) return;
      this.failures = 0;
      this.takers.link("live");
      this.takers.whole(exchanges, state);
      source.isWhole = true;
      for (const [kind, value] of early) this.takers[kind](value);
    } catch {
      this.lose(source);
    }
  }

  /** Without a stream, such as where too many pages have one, show what there is now. */
  async fall() {
    try {
      const [{ exchanges }, state] = await Promise.all([read("exchanges"), read("state")]);
      if (this.source?.isWhole) return;
      this.takers.link("crowded");
      this.takers.whole(exchanges, state);
    } catch {
      this.takers.link("ended");
    }
  }

  lose(source) {
    if (source !== this.source) return;
    this.close();
    const wait = WAITS[Math.min(this.failures, WAITS.length - 1)];
    this.failures += 1;
    this.timer = setTimeout(() => this.open(), wait);
    this.fall();
  }
}

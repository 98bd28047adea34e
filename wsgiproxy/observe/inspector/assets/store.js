// The exchanges that are kept, and those of them that the filters show; both in order of number.

/** The place of the first one whose number is not below this one. */
export function placeOf(entries, number) {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (entries[middle].number < number) low = middle + 1;
    else high = middle;
  }
  return low;
}

function insert(entries, entry) {
  if (!entries.length || entries[entries.length - 1].number < entry.number) entries.push(entry);
  else entries.splice(placeOf(entries, entry.number), 0, entry);
}

export class Store {
  constructor() {
    this.byNumber = new Map();
    this.all = [];
    this.shown = [];
    this.matches = () => true;
  }

  get(number) {
    return this.byNumber.get(number);
  }

  /** Put new and changed ones in; how many of them are new and shown. */
  put(summaries) {
    let fresh = 0;
    for (const summary of summaries) {
      const entry = this.byNumber.get(summary.number);
      if (entry) this.change(entry, summary);
      else fresh += this.add(summary);
    }
    return fresh;
  }

  add(summary) {
    const entry = { number: summary.number, summary, version: 0, words: null, isShown: false };
    this.byNumber.set(entry.number, entry);
    insert(this.all, entry);
    entry.isShown = this.matches(entry);
    if (entry.isShown) insert(this.shown, entry);
    return entry.isShown ? 1 : 0;
  }

  change(entry, summary) {
    entry.summary = summary;
    entry.version += 1;
    entry.words = null;
    const isShown = this.matches(entry);
    if (isShown === entry.isShown) return;
    entry.isShown = isShown;
    if (isShown) insert(this.shown, entry);
    else this.shown.splice(placeOf(this.shown, entry.number), 1);
  }

  /** Forget those with lower numbers. */
  dropBelow(first) {
    if (!this.all.length || this.all[0].number >= first) return;
    for (const entry of this.all.splice(0, placeOf(this.all, first))) {
      this.byNumber.delete(entry.number);
    }
    this.shown.splice(0, placeOf(this.shown, first));
  }

  /** Forget all. */
  clear() {
    this.byNumber.clear();
    this.all = [];
    this.shown = [];
  }

  /** Look through all again, with another question or at another time. */
  filter(matches = this.matches) {
    this.matches = matches;
    this.shown = this.all.filter((entry) => (entry.isShown = matches(entry)));
  }

  /** How many of those that are shown stand above this number; the newest is on top. */
  above(number) {
    return this.shown.length - placeOf(this.shown, number + 1);
  }

  /** The one in this row from the top. */
  row(index) {
    return this.shown[this.shown.length - 1 - index];
  }
}

"use strict";

/** A list of things to do, kept in memory. */
class Todos {
  #items = new Map();
  #next = 1;

  list() {
    return [...this.#items.values()];
  }

  add(text) {
    const trimmed = String(text ?? "").trim();
    if (!trimmed) throw new RangeError("a todo needs a text");
    const item = { id: this.#next++, text: trimmed, done: false };
    this.#items.set(item.id, item);
    return item;
  }

  toggle(id) {
    const item = this.#items.get(id);
    if (!item) return undefined;
    item.done = !item.done;
    return item;
  }

  remove(id) {
    return this.#items.delete(id);
  }
}

module.exports = { Todos };

// Flow control for terminals of extensions, which VS Code gives none: the terminal itself is asked how far it is.
//
// After so much text comes a question that every terminal answers and no program asks (DECRQM, the state of a mode
// that does not exist). Its answer comes back as if it were typed, once all text before it stands on the screen.

const ASK_CHARACTERS = 32_000;
const MOST_UNASKED = 64_000;
const PATIENCE_MS = 5000;
const FIRST_MODE = 7700;
const MODES = 90;
// eslint-disable-next-line no-control-regex
const ANSWER = /\u001b\[\?(77\d\d);\d\$y/g;

/** Knows whether a text so far ends between two control sequences, where another one does no harm. */
export class Sequences {
  private state: "text" | "escape" | "control" | "string" | "stringEscape" = "text";

  /** Takes more text; tells whether it ends in plain text. */
  feed(text: string): boolean {
    for (let at = 0; at < text.length; at += 1) {
      if (this.state === "text") {
        at = text.indexOf("\u001b", at);
        if (at < 0) return true;
        this.state = "escape";
      } else this.step(text.charCodeAt(at));
    }
    return this.state === "text";
  }

  private step(code: number): void {
    switch (this.state) {
      case "escape":
        // [ begins a control sequence; P ] X ^ _ begin strings that end with ESC \ or BEL.
        if (code === 0x5b) this.state = "control";
        else if (code === 0x50 || code === 0x5d || code === 0x58 || code === 0x5e || code === 0x5f)
          this.state = "string";
        else if (code < 0x20 || code > 0x2f) this.state = "text";
        break;
      case "control":
        if (code >= 0x40 && code <= 0x7e) this.state = "text";
        else if (code === 0x1b) this.state = "escape";
        break;
      case "string":
        if (code === 0x07 || code === 0x18 || code === 0x1a) this.state = "text";
        else if (code === 0x1b) this.state = "stringEscape";
        break;
      case "stringEscape":
        this.state = code === 0x5c ? "text" : "string";
        break;
      case "text":
        break;
    }
  }
}

/** Lets text through to a terminal and tells how much of it is on the screen. */
export class Flow {
  private readonly sequences = new Sequences();
  private unasked = 0;
  private asked: { mode: number; characters: number; timer: NodeJS.Timeout } | undefined;
  private questions = 0;

  constructor(
    private readonly show: (text: string) => void,
    private readonly shown: (characters: number) => void,
    private readonly patience = PATIENCE_MS,
  ) {}

  /** Shows a text of so many characters of the stream. */
  write(text: string, characters = text.length): void {
    this.show(text);
    this.unasked += characters;
    const between = this.sequences.feed(text);
    if (between) this.ask();
    else if (this.unasked > MOST_UNASKED && this.asked === undefined) this.settle(this.unasked);
  }

  /** What was really typed: the terminal's answers are taken out. */
  take(data: string): string {
    return data.replaceAll(ANSWER, (_, mode: string) => {
      if (this.asked?.mode === Number(mode)) this.answered();
      return "";
    });
  }

  dispose(): void {
    clearTimeout(this.asked?.timer);
    this.asked = undefined;
  }

  private ask(): void {
    if (this.asked !== undefined || this.unasked < ASK_CHARACTERS) return;
    const mode = FIRST_MODE + (this.questions % MODES);
    this.questions += 1;
    const timer = setTimeout(() => {
      this.answered();
    }, this.patience);
    this.asked = { mode, characters: this.unasked, timer };
    this.unasked = 0;
    this.show(`\u001b[?${mode}$p`);
  }

  private answered(): void {
    if (this.asked === undefined) return;
    const { characters, timer } = this.asked;
    clearTimeout(timer);
    this.asked = undefined;
    this.shown(characters);
    if (this.sequences.feed("")) this.ask();
  }

  private settle(characters: number): void {
    this.unasked -= characters;
    this.shown(characters);
  }
}

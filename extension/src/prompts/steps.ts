// Several questions in a row, with a way back: the one mechanism behind every prompt.

import * as vscode from "vscode";

/** Where a question stands in its row. */
export interface Place {
  title: string;
  step: number;
  total: number;
}

/** The answer, or that the person wants the question before, or gave up (undefined). */
export type Answer<S> = { state: S } | "back" | undefined;

/** Asks one thing and returns the state with the answer in it. */
export type Step<S> = (state: S, place: Place) => Promise<Answer<S>>;

/** Asks everything in order; undefined when the person gave up. */
export async function askAll<S>(title: string, start: S, steps: readonly Step<S>[]): Promise<S | undefined> {
  const states: S[] = [start];
  for (;;) {
    const state = states[states.length - 1] ?? start;
    const step = steps[states.length - 1];
    if (step === undefined) return state;
    const answer = await step(state, { title, step: states.length, total: steps.length });
    if (answer === undefined) return undefined;
    if (answer === "back") states.pop();
    else states.push(answer.state);
    if (states.length === 0) return undefined;
  }
}

/** What a text question looks like; `problem` runs at each keystroke, `lateProblem` once typing pauses. */
export interface TextQuestion {
  prompt: string;
  value: string;
  placeholder?: string;
  selection?: [number, number];
  password?: boolean;
  problem?: (text: string) => string | undefined;
  lateProblem?: (text: string) => Promise<string | undefined>;
  /** Tries the answer once it is given; what is wrong with it keeps the question open. */
  attempt?: (text: string) => Promise<string | undefined>;
}

const PAUSE_MS = 150;

/** Asks for a text; an answer with a problem is not accepted. */
export function askText(question: TextQuestion, place: Place): Promise<{ text: string } | "back" | undefined> {
  const box = vscode.window.createInputBox();
  dress(box, place);
  box.prompt = question.prompt;
  box.value = question.value;
  box.placeholder = question.placeholder;
  box.password = question.password ?? false;
  if (question.selection !== undefined) box.valueSelection = question.selection;
  let pause: NodeJS.Timeout | undefined;
  const answer = (): string => (question.password === true ? box.value : box.value.trim());
  const check = async (): Promise<boolean> => {
    const text = answer();
    const problem = question.problem?.(text) ?? (await question.lateProblem?.(text));
    if (answer() !== text) return false;
    box.validationMessage = problem;
    return problem === undefined;
  };
  const changed = (): void => {
    clearTimeout(pause);
    box.validationMessage = question.problem?.(answer());
    pause = setTimeout(() => void check(), PAUSE_MS);
  };
  return new Promise((resolve) => {
    box.onDidChangeValue(changed);
    box.onDidAccept(async () => {
      clearTimeout(pause);
      if (!box.enabled || !(await check()) || !(await attempted(box, answer(), question.attempt))) return;
      resolve({ text: answer() });
      box.dispose();
    });
    box.onDidTriggerButton(() => {
      resolve("back");
      box.dispose();
    });
    box.onDidHide(() => {
      clearTimeout(pause);
      resolve(undefined);
      box.dispose();
    });
    box.show();
  });
}

/** Whether an answer holds; the box waits meanwhile and shows what is wrong. */
async function attempted(box: vscode.InputBox, text: string, attempt: TextQuestion["attempt"]): Promise<boolean> {
  if (attempt === undefined) return true;
  box.enabled = false;
  box.busy = true;
  const problem = await attempt(text);
  box.busy = false;
  box.enabled = true;
  box.validationMessage = problem;
  // What is typed next replaces an answer that was wrong.
  if (problem !== undefined) box.valueSelection = [0, text.length];
  return problem === undefined;
}

/** Keeps the items of a pick in their order, however well they match what is typed. */
export function unsorted<T extends vscode.QuickPickItem>(pick: vscode.QuickPick<T>): vscode.QuickPick<T> {
  return Object.assign(pick, { sortByLabel: false });
}

/** Asks to pick one; `active` is highlighted first. */
export function askPick<T extends vscode.QuickPickItem>(
  items: readonly T[],
  placeholder: string,
  active: T | undefined,
  place: Place,
): Promise<{ item: T } | "back" | undefined> {
  const pick = vscode.window.createQuickPick<T>();
  dress(pick, place);
  pick.items = items;
  pick.placeholder = placeholder;
  pick.matchOnDescription = true;
  if (active !== undefined) pick.activeItems = [active];
  return new Promise((resolve) => {
    pick.onDidAccept(() => {
      const item = pick.activeItems[0];
      if (item === undefined) return;
      resolve({ item });
      pick.dispose();
    });
    pick.onDidTriggerButton(() => {
      resolve("back");
      pick.dispose();
    });
    pick.onDidHide(() => {
      resolve(undefined);
      pick.dispose();
    });
    pick.show();
  });
}

/** Gives a quick input its title, its place in the row and the way back. */
export function dress(input: vscode.QuickInput & { buttons: readonly vscode.QuickInputButton[] }, place: Place): void {
  input.title = place.title;
  input.ignoreFocusOut = true;
  if (place.total > 1) {
    input.step = place.step;
    input.totalSteps = place.total;
  }
  if (place.step > 1) input.buttons = [vscode.QuickInputButtons.Back];
}

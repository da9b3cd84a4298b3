/* The page's entry: all that Gradio's events call, by name. */

import { mountChips, chosenQuestion } from "./chips.js";
import { cubeOf, presetOf, thresholdsMoved, thresholdsOf } from "./dials.js";
import { mountFigures } from "./figures.js";
import { mountHeader } from "./header.js";
import { showLink } from "./link.js";
import { mountOutcome } from "./outcome.js";
import { fittingFrames, isFirstUnanswered, mountPicker } from "./picker.js";
import { ask, lost, mountViewer, opened, samplingTouched, settingsTouched, stop } from "./run.js";
import { keepStreamsWhole } from "./stream.js";

keepStreamsWhole();

/** The first card and the controls are in place. */
function greeted() {
  return opened(isFirstUnanswered());
}

/** @type {Record<string, (...values: any[]) => unknown>} */
const CALLS = {
  ...{ mountHeader, mountViewer, mountPicker, mountChips, mountOutcome, mountFigures },
  ...{ ask, stop, lost, greeted, settingsTouched, samplingTouched },
  ...{ chosenQuestion, fittingFrames, thresholdsOf, thresholdsMoved, cubeOf, presetOf, showLink },
};

/**
 * @param {string} name
 * @param {...unknown} values
 */
export function call(name, ...values) {
  if (!Object.hasOwn(CALLS, name)) throw new Error(`The page has no function named ${name}.`);
  return CALLS[name](...values);
}

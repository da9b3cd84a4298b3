/* The page's entry: all that Gradio's events call, by name. */

import { controlsAt, remembered, restoredValues } from "./address.js";
import { ask, mountViewer, opened, samplingTouched, settingsTouched, stop } from "./asking.js";
import { mountChips, chosenQuestion } from "./chips.js";
import {
  cubeOf,
  presetOf,
  tellWhatIsClamped,
  textMoved,
  textThresholdOf,
  thresholdsMoved,
  thresholdsOf,
  thresholdsShown,
} from "./dials.js";
import { mountFigures } from "./figures.js";
import { offerFullScreen } from "./fullscreen.js";
import { mountHeader } from "./header.js";
import { mountOutcome } from "./outcome.js";
import { placePanel } from "./placement.js";
import { fittingFrames, isFirstUnanswered, mountPicker } from "./picker.js";
import { lost } from "./run.js";
import { on } from "./signals.js";
import { quietAsTyped } from "./status.js";
import { keepStreamsWhole } from "./stream.js";

keepStreamsWhole();
on("viewer", placePanel);
on("viewer", tellWhatIsClamped);
on("viewer", quietAsTyped);
on("viewer", () => setTimeout(offerFullScreen));

/** The first card and the controls are in place. */
function greeted() {
  return opened(isFirstUnanswered());
}

/** @type {Record<string, (...values: any[]) => unknown>} */
const CALLS = {
  ...{ mountHeader, mountViewer, mountPicker, mountChips, mountOutcome, mountFigures },
  ...{ ask, stop, lost, greeted, settingsTouched, samplingTouched },
  ...{ chosenQuestion, fittingFrames, cubeOf, presetOf },
  ...{ textMoved, textThresholdOf, thresholdsMoved, thresholdsOf, thresholdsShown },
  ...{ controlsAt, restoredValues, remembered },
};

/**
 * @param {string} name
 * @param {...unknown} values
 */
export function call(name, ...values) {
  if (!Object.hasOwn(CALLS, name)) throw new Error(`The page has no function named ${name}.`);
  return CALLS[name](...values);
}

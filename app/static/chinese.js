/* The page's sentences in Chinese, one table: English as the page and the server write it, and what stands for it;
   translate.js says what the braces mean. */

import { ABOUT } from "./chinese_about.js";
import { ERRORS } from "./chinese_errors.js";
import { FIGURES } from "./chinese_figures.js";
import { PAGE } from "./chinese_page.js";
import { RUNS } from "./chinese_runs.js";
import { SENTENCES } from "./chinese_sentences.js";
import { VIEWER } from "./chinese_viewer.js";

/** @type {[string, string][]} */
export const CHINESE = [...PAGE, ...VIEWER, ...SENTENCES, ...FIGURES, ...RUNS, ...ABOUT, ...ERRORS];

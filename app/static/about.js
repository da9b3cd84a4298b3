/* What this server allows, by the names that /healthz has for it. */

import { el } from "../../viz/static/dom.js";
import { grouped } from "../../viz/static/format.js";

/** Of each limit its name and its unit. @type {[string, string, string][]} */
const LIMITS = [
  ["max_upload_mb", "Size of an upload", "MB"],
  ["max_video_seconds", "Length of an upload", "seconds"],
  ["max_video_pixels", "Pixels of an upload's frame", "pixels"],
  ["max_video_frames", "Frames of an upload", "frames"],
  ["max_frames", "Frames shown to the model", "frames"],
  ["max_pixels", "Pixels of a frame shown to the model", "pixels"],
  ["max_video_tokens", "Video tokens", "tokens"],
  ["max_question_characters", "Length of a question", "characters"],
  ["max_new_tokens", "Length of an answer", "tokens"],
  ["max_waiting", "Questions that are answered or wait", "questions"],
  ["max_runs_a_minute", "Questions of one visitor", "a minute"],
  ["max_run_seconds", "Time of an answer", "seconds"],
  ["max_read_seconds", "Time to read an upload", "seconds"],
  ["read_memory_mb", "Memory to read an upload", "MB"],
  ["videos_mb", "Uploaded videos kept", "MB"],
  ["results_mb", "Answers kept", "MB"],
  ["disk_mb", "Disk space in all", "MB"],
  ["kept_hours", "A file that nobody asks for is removed after", "hours"],
  ["left_seconds", "What you have here is removed when you have left for", "seconds"],
  ["wrong_logins", "Wrong logins of a name or an address", "tries"],
  ["login_seconds", "Time within which wrong logins count", "seconds"],
  ["grace_seconds", "Time to finish an answer when the server stops", "seconds"],
];

/**
 * @param {HTMLElement} body
 * @param {Record<string, number>} limits
 */
export function mountAbout(body, limits) {
  const rows = LIMITS.map(([name, title, unit]) => {
    const value = limits[name] ? `${grouped(limits[name])} ${unit}` : "what the model holds";
    return el("div", {}, el("dt", { text: title }), el("dd", { text: value }));
  });
  const lead = [
    "What is asked beyond one of these is refused in a sentence, never cut silently.",
    "Whoever runs the server sets them; on your own machine you do.",
  ].join(" ");
  const parts = [el("h3", { text: "At most" }), el("p", { text: lead }), el("dl", { class: "limits" }, ...rows)];
  body.append(el("div", { class: "how" }, ...parts));
}

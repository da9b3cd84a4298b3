/* A file on its way to the server, chosen or dropped. */

import { address } from "./server.js";

/**
 * Send a file as Gradio takes it.
 * @param {File} file
 * @param {{ progress: (share: number) => void, arrived: (path: string) => void, refused: (why: string) => void,
 *   lost: () => void }} on `path` is where the server has put it
 */
export function send(file, on) {
  const request = new XMLHttpRequest();
  const form = new FormData();
  form.append("files", file, file.name);
  request.open("POST", address("gradio_api/upload"));
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) on.progress(event.loaded / event.total);
  });
  request.upload.addEventListener("load", () => on.progress(1)); // whatever was the last that was told before
  request.addEventListener("error", on.lost);
  request.addEventListener("load", () => {
    if (request.status === 200) on.arrived(JSON.parse(request.responseText)[0]);
    else if (request.getResponseHeader("content-type")?.startsWith("text/plain")) on.refused(request.responseText);
    else on.lost();
  });
  request.send(form);
}

/**
 * A file may be dropped anywhere on the page; the zone shows where it goes.
 * @param {HTMLElement} zone
 * @param {(file: File) => void} take
 */
export function watchDrops(zone, take) {
  const carriesFile = (/** @type {DragEvent} */ event) => Boolean(event.dataTransfer?.types.includes("Files"));
  const over = (/** @type {DragEvent} */ event, /** @type {boolean} */ isOver) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    zone.classList.toggle("over", isOver);
  };
  document.addEventListener("dragover", (event) => over(event, true));
  document.addEventListener("dragleave", (event) => over(event, event.relatedTarget !== null));
  document.addEventListener("drop", (event) => {
    over(event, false);
    if (carriesFile(event) && event.dataTransfer?.files.length) take(event.dataTransfer.files[0]);
  });
}

/* Whether the picture on screen is the one that was sought. A video that the browser cannot decode, or of which it
   shows another frame, is taken off the stage, and a safe copy is asked for. */

/** @import { Viewer } from "./viewer.js" */

/** Where a video that failed lies now, null: nowhere; and what is said of it.
    @typedef {{ address: string | null, sentence: string }} Lost */
/** Promises another address of the same video, or throws a sentence.
    @typedef {(url: string) => Promise<string>} SafeCopy */

const LOOK_MS = 1500;
const LOOKS_AT_A_WRONG_FRAME = 2;
const LOOKS_AT_NONE = 10;
const SAME_FRAME_SECS = 0.003; // times are rounded to a container's clock; no frame is that short
const LATE = "This slice's picture is still on its way: the one in view is another's.";
const LOST = "This browser cannot show the video right as it is; a safe copy is being made.";
const NO_COPY = "Another browser may play it.";
const LOST_FOR_GOOD = "The video cannot be shown here, so the cubes lie on plain ground.";

export class Playback {
  #viewer;
  #video;
  #safeCopy;
  /** By the address of the video. @type {Map<string | null, Lost>} */
  #lost = new Map();
  /** @type {string | null} */
  #url = null;
  /** The time of the frame on screen. @type {number | null} */
  #seen = null;
  /** Whether that frame has come since the last seek began. */
  #isNew = false;
  #isLate = false;
  #looks = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #watches = "requestVideoFrameCallback" in HTMLVideoElement.prototype;

  /**
   * @param {Viewer} viewer
   * @param {SafeCopy | null} safeCopy null: there is none
   */
  constructor(viewer, safeCopy) {
    const { video } = viewer.parts;
    this.#viewer = viewer;
    this.#video = video;
    this.#safeCopy = safeCopy;
    video.addEventListener("error", () => this.#lose());
    video.addEventListener("emptied", () => {
      this.#seen = null;
      this.#rest();
    });
    video.addEventListener("seeking", () => this.#watch());
    for (const name of ["seeked", "play"]) video.addEventListener(name, () => this.#check());
    if (this.#watches) this.#watchFrames();
  }

  #watchFrames() {
    /** @type {VideoFrameRequestCallback} */
    const frame = (_, { mediaTime }) => {
      this.#seen = mediaTime;
      this.#isNew = true;
      this.#check();
      this.#video.requestVideoFrameCallback(frame);
    };
    this.#video.requestVideoFrameCallback(frame);
  }

  /** What is wrong with the picture, if anything is. */
  get sentence() {
    return this.#lost.get(this.#url)?.sentence || (this.#isLate ? LATE : "");
  }

  /** Whether there is no picture until a safe copy has come. */
  get waits() {
    return this.sentence === LOST;
  }

  /**
   * Where a video lies: at its own address, at that of its safe copy, or nowhere (null).
   * @param {string | null} url
   */
  addressOf(url) {
    this.#url = url;
    const lost = this.#lost.get(url);
    return lost ? lost.address : url;
  }

  /** Look, from now on, whether the frame that is sought has come. */
  #watch() {
    clearTimeout(this.#timer);
    this.#isNew = false;
    this.#looks = 0;
    if (this.#watches) this.#timer = setTimeout(() => this.#look(), LOOK_MS);
  }

  #look() {
    const { seeking, networkState, NETWORK_LOADING } = this.#video;
    // Nothing is presented in a hidden tab, and a slow connection is no fault of the file.
    if (!document.hidden && !(seeking && networkState === NETWORK_LOADING)) this.#looks += 1;
    if (this.#looks >= (this.#isNew && !seeking ? LOOKS_AT_A_WRONG_FRAME : LOOKS_AT_NONE)) {
      this.#lose();
      return;
    }
    this.#timer = setTimeout(() => this.#look(), LOOK_MS);
    this.#tellLate(!document.hidden);
  }

  #check() {
    const { paused, seeking } = this.#video;
    if (!paused || (!seeking && this.#isRight())) this.#rest();
  }

  /** No later than what was sought, and no earlier than a frame of the model's that had begun by then. */
  #isRight() {
    const { data, view } = this.#viewer;
    const sought = this.#video.currentTime + SAME_FRAME_SECS;
    const earliest = data?.lastTimeBefore(sought, view.slice) ?? 0;
    return this.#seen !== null && this.#seen <= sought && this.#seen >= earliest - SAME_FRAME_SECS;
  }

  #rest() {
    clearTimeout(this.#timer);
    this.#tellLate(false);
  }

  async #lose() {
    clearTimeout(this.#timer);
    this.#isLate = false;
    const url = this.#url;
    const isCopy = this.#lost.has(url);
    // What was never seen need not be taken away.
    const nowhere = this.#video.videoWidth ? null : this.addressOf(url);
    this.#settle(url, nowhere, LOST);
    try {
      if (isCopy || !this.#safeCopy || url === null) throw new Error(NO_COPY);
      this.#settle(url, await this.#safeCopy(url), "");
    } catch (error) {
      this.#settle(url, nowhere, `${LOST_FOR_GOOD} ${error instanceof Error ? error.message : error}`);
    }
  }

  /**
   * @param {string | null} url
   * @param {string | null} address
   * @param {string} sentence
   */
  #settle(url, address, sentence) {
    this.#lost.set(url, { address, sentence });
    if (url === this.#url) this.#viewer.clock.reload();
    this.#tell();
  }

  /** @param {boolean} isLate */
  #tellLate(isLate) {
    if (isLate === this.#isLate) return;
    this.#isLate = isLate;
    this.#tell();
  }

  #tell() {
    this.#viewer.setState(this.#viewer.state, this.#viewer.message);
  }
}

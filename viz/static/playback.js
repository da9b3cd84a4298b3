/* Whether the picture on screen is the one that was sought. A video that the browser cannot decode, or
   of which it shows another frame, is taken off the stage, and a safe copy is asked for. */

const LOOK_MS = 1500, LOOKS_AT_A_WRONG_FRAME = 2, LOOKS_AT_NONE = 10;
const SAME_FRAME_SECS = 0.003; // times are rounded to a container's clock; no frame is that short
const LATE = "This slice's picture is still on its way: the one in view is another's.";
const LOST = "This browser cannot show the video right as it is; a safe copy is being made.";
const NO_COPY = "Another browser may play it.";
const lostForGood = (why) => `The video cannot be shown here, so the cubes lie on plain ground. ${why}`;

class Playback {
  #viewer;
  #video;
  #safeCopy;
  #lost = new Map(); // address of a video that failed -> {address of its copy or null, sentence}
  #url = null;
  #seen = null; // the time of the frame on screen
  #isNew = false; // whether that frame has come since the last seek began
  #isLate = false;
  #looks = 0;
  #timer = 0;
  #watches = "requestVideoFrameCallback" in HTMLVideoElement.prototype;

  /** `safeCopy(url)` promises another address of the same video, or throws a sentence; null: none. */
  constructor(viewer, safeCopy) {
    const { video } = viewer.parts;
    this.#viewer = viewer;
    this.#video = video;
    this.#safeCopy = safeCopy;
    video.addEventListener("error", () => this.#lose());
    video.addEventListener("emptied", () => { this.#seen = null; this.#rest(); });
    video.addEventListener("seeking", () => this.#watch());
    for (const name of ["seeked", "play"]) video.addEventListener(name, () => this.#check());
    if (this.#watches) this.#watchFrames();
  }

  #watchFrames() {
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
  get waits() { return this.sentence === LOST; }

  /** Where a video lies: at its own address, at that of its safe copy, or nowhere (null). */
  addressOf(url) {
    this.#url = url;
    return this.#lost.has(url) ? this.#lost.get(url).address : url;
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
    if (this.#looks >= (this.#isNew && !seeking ? LOOKS_AT_A_WRONG_FRAME : LOOKS_AT_NONE)) return this.#lose();
    this.#timer = setTimeout(() => this.#look(), LOOK_MS);
    return this.#tellLate(!document.hidden);
  }

  #check() {
    const { paused, seeking } = this.#video;
    if (!paused || (!seeking && this.#isRight())) this.#rest();
  }

  /** No later than what was sought, and no earlier than a frame of the model's that had begun by then. */
  #isRight() {
    const { data, view } = this.#viewer, wanted = this.#video.currentTime + SAME_FRAME_SECS;
    const earliest = data?.lastTimeBefore(wanted, view.slice) ?? 0;
    return this.#seen !== null && this.#seen <= wanted && this.#seen >= earliest - SAME_FRAME_SECS;
  }

  #rest() {
    clearTimeout(this.#timer);
    this.#tellLate(false);
  }

  async #lose() {
    clearTimeout(this.#timer);
    this.#isLate = false;
    const url = this.#url, isCopy = this.#lost.has(url);
    // What was never seen need not be taken away.
    const nowhere = this.#video.videoWidth ? null : this.addressOf(url);
    this.#settle(url, nowhere, LOST);
    try {
      if (isCopy || !this.#safeCopy) throw new Error(NO_COPY);
      this.#settle(url, await this.#safeCopy(url), "");
    } catch (error) {
      this.#settle(url, nowhere, lostForGood(error.message));
    }
  }

  #settle(url, address, sentence) {
    this.#lost.set(url, { address, sentence });
    if (url === this.#url) this.#viewer.clock.reload();
    this.#tell();
  }

  #tellLate(isLate) {
    if (isLate === this.#isLate) return;
    this.#isLate = isLate;
    this.#tell();
  }

  #tell() {
    this.#viewer.setState(this.#viewer.state, this.#viewer.message);
  }
}

/* One timeline for the viewer: the playing video, or a plain clock where there is none. Times are in seconds. */

export class Clock {
  #video;
  #onTick;
  #now = 0;
  #duration = 0;
  /** @type {number | null} */
  #startedAt = null;
  /** @type {number | null} */
  #target = null;
  #presented = 0;
  /** @type {string | null} */
  #url = null;
  #addressOf;

  /**
   * @param {HTMLVideoElement} video
   * @param {(timeSecs: number) => void} onTick hears the presentation time of what is on screen, or is about to be
   * @param {(url: string | null) => string | null} addressOf where the video of that name lies; null: nowhere
   */
  constructor(video, onTick, addressOf) {
    this.#video = video;
    this.#onTick = onTick;
    this.#addressOf = addressOf;
    this.playable = false;
    video.addEventListener("loadedmetadata", () => this.#ready());
    video.addEventListener("error", () => this.#lost());
    // A busy browser may not tell of the last frame; at the end it is on screen.
    video.addEventListener("ended", () => {
      this.#presented = video.currentTime;
    });
    for (const name of ["seeked", "play", "pause", "ended"]) {
      video.addEventListener(name, () => this.#tick());
    }
    this.#watchFrames();
  }

  /** A frame of an earlier seek may be presented late, so a paused seek goes by its own target. */
  #tick() {
    this.#onTick(this.#target ?? this.#presented);
  }

  #watchFrames() {
    const video = this.#video;
    const shown = (/** @type {number} */ timeSecs) => {
      if (video.seeking) return;
      this.#presented = timeSecs;
      if (!video.paused) this.#target = null;
      this.#tick();
    };
    if (!video.requestVideoFrameCallback) {
      video.addEventListener("timeupdate", () => shown(video.currentTime));
      return;
    }
    /** @type {VideoFrameRequestCallback} */
    const frame = (_, metadata) => {
      shown(metadata.mediaTime);
      video.requestVideoFrameCallback(frame);
    };
    video.requestVideoFrameCallback(frame);
  }

  #ready() {
    this.playable = this.#video.videoWidth > 0;
    this.#startedAt = null;
    if (this.#now) this.seek(this.#now);
    else this.#tick();
  }

  #lost() {
    this.playable = false;
    this.#onTick(this.#now);
  }

  /**
   * Show a URL (or nothing); the place in time is kept when only the scene changed.
   * @param {string | null} url
   * @param {number} durationSecs
   */
  load(url, durationSecs) {
    this.#duration = durationSecs;
    this.#url = url;
    const address = this.#addressOf(url);
    if (address === (this.#video.getAttribute("src") || null)) return;
    this.pause();
    this.playable = false;
    this.#now = 0;
    this.#presented = 0;
    this.#target = null;
    if (address) this.#video.src = address;
    else this.#video.removeAttribute("src");
    this.#video.load();
  }

  /** The same video from where it lies now, at the same place in time. */
  reload() {
    const at = this.#video.getAttribute("src") ? (this.#target ?? this.#presented) : this.time;
    this.load(this.#url, this.#duration);
    this.seek(at);
  }

  get time() {
    if (this.playable) return this.#video.currentTime;
    if (this.#startedAt === null) return this.#now;
    return Math.min(this.#duration, (performance.now() - this.#startedAt) / 1000);
  }

  get duration() {
    const own = this.#video.duration;
    return this.playable && Number.isFinite(own) ? own : this.#duration;
  }

  get playing() {
    return this.playable ? !this.#video.paused && !this.#video.ended : this.#startedAt !== null;
  }

  play() {
    if (this.playable) {
      this.#video.play().catch(() => this.#tick());
      return;
    }
    const from = this.#now >= this.#duration ? 0 : this.#now;
    this.#startedAt = performance.now() - from * 1000;
    requestAnimationFrame(() => this.#step());
  }

  #step() {
    if (this.#startedAt === null) return;
    this.#now = this.time;
    if (this.#now >= this.#duration) this.#startedAt = null;
    this.#onTick(this.#now);
    requestAnimationFrame(() => this.#step());
  }

  pause() {
    if (this.playable) {
      this.#video.pause();
      return;
    }
    this.#now = this.time;
    this.#startedAt = null;
    this.#onTick(this.#now);
  }

  /** @param {number} timeSecs */
  seek(timeSecs) {
    const to = Math.min(Math.max(timeSecs, 0), this.duration);
    this.#now = to;
    if (this.#startedAt !== null) this.#startedAt = performance.now() - to * 1000;
    if (this.playable) {
      this.#target = to;
      this.#video.currentTime = to;
    }
    this.#onTick(to);
  }
}

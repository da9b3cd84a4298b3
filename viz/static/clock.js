/* One timeline for the viewer: the playing video, or a plain clock where there is none. */

class Clock {
  #video;
  #onTick;
  #now = 0;
  #duration = 0;
  #startedAt = null;

  /** onTick(timeSecs, exact): exact is a presented frame's own time. */
  constructor(video, onTick) {
    this.#video = video;
    this.#onTick = onTick;
    this.playable = false;
    video.addEventListener("loadedmetadata", () => this.#ready());
    video.addEventListener("error", () => this.#lost());
    for (const name of ["seeked", "play", "pause", "ended"]) {
      video.addEventListener(name, () => this.#onTick(video.currentTime, false));
    }
    this.#watchFrames();
  }

  #watchFrames() {
    if (this.#video.requestVideoFrameCallback) {
      const frame = (_, metadata) => {
        // While a seek is under way the frame on screen is the one being left.
        if (!this.#video.seeking) this.#onTick(metadata.mediaTime, true);
        this.#video.requestVideoFrameCallback(frame);
      };
      this.#video.requestVideoFrameCallback(frame);
    } else {
      this.#video.addEventListener("timeupdate", () => this.#onTick(this.#video.currentTime, false));
    }
  }

  #ready() {
    this.playable = this.#video.videoWidth > 0;
    if (this.#now) this.#video.currentTime = this.#now;
    this.#onTick(this.time, false);
  }

  #lost() {
    this.playable = false;
    this.#onTick(this.#now, false);
  }

  /** Show a URL (or nothing); the place in time is kept when only the scene changed. */
  load(url, durationSecs) {
    this.#duration = durationSecs;
    if (url === (this.#video.getAttribute("src") || null)) return;
    this.pause();
    this.playable = false;
    this.#now = 0;
    if (url) this.#video.src = url;
    else this.#video.removeAttribute("src");
    this.#video.load();
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
      this.#video.play().catch(() => this.#onTick(this.time, false));
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
    this.#onTick(this.#now, false);
    requestAnimationFrame(() => this.#step());
  }

  pause() {
    if (this.playable) this.#video.pause();
    else this.#now = this.time;
    this.#startedAt = null;
    this.#onTick(this.time, false);
  }

  seek(timeSecs) {
    const to = Math.min(Math.max(timeSecs, 0), this.duration);
    this.#now = to;
    if (this.#startedAt !== null) this.#startedAt = performance.now() - to * 1000;
    if (this.playable) this.#video.currentTime = to;
    else this.#onTick(to, false);
  }
}

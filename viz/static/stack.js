/* The cube stack in 3-D, as a control: it turns, and its cubes can be picked. The projection is in
   projection.js, the drawing in stack_drawing.js. */

import { contextOf, fitCanvas } from "./canvas.js";
import { REST, inPolygon } from "./projection.js";
import { aspectOf, drawFocus, drawPicture, drawSlabs } from "./stack_drawing.js";

/** @import { CanvasArea } from "./canvas.js" */
/** @import { Angles, Point } from "./projection.js" */
/** @import { SceneData } from "./scene.js" */
/** @import { Hit, Stack } from "./stack_drawing.js" */
/** @import { DrawnView } from "./view.js" */

export class CubeStack {
  /** @type {Hit[]} */
  #hits = [];
  /** @type {{ key: string, data: SceneData, far: HTMLCanvasElement, near: HTMLCanvasElement, stack: Stack } | null} */
  #slabs = null;
  /** @type {(Angles & { x: number, y: number, moved: boolean }) | null} */
  #from = null;

  /**
   * @param {HTMLCanvasElement} canvas drawn on and turned by
   * @param {(cube: number | null, lock: boolean) => void} onPick hears hover, and click to lock
   * @param {() => void} onTurn redraws
   */
  constructor(canvas, onPick, onTurn) {
    this.canvas = canvas;
    this.onPick = onPick;
    this.onTurn = onTurn;
    /** @type {Angles} */
    this.angles = { ...REST };
    canvas.addEventListener("pointerdown", (event) => this.#grab(event));
    canvas.addEventListener("pointermove", (event) => this.#drag(event));
    canvas.addEventListener("pointerup", (event) => this.#release(event));
    canvas.addEventListener("pointerleave", () => onPick(null, false));
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /**
   * @param {DrawnView} view
   * @param {HTMLVideoElement} video
   */
  draw(view, video) {
    const area = fitCanvas(this.canvas, this.canvas.clientWidth, this.canvas.clientHeight);
    if (!view.data.videoOf(view.slice)) return;
    const frame = video.videoWidth && video.readyState >= 2 ? video : null;
    const { far, near, stack } = this.#slabsOf(area, view, aspectOf(view, frame));
    area.context.drawImage(far, 0, 0);
    this.#hits = drawPicture(area, view, stack, frame);
    area.context.drawImage(near, 0, 0);
    drawFocus(area, view, stack);
  }

  /**
   * The slabs before and behind the picture, kept until what they show changes: hovering and playing only change the
   * picture.
   * @param {CanvasArea} area
   * @param {DrawnView} view
   * @param {number} aspect
   */
  #slabsOf(area, view, aspect) {
    const { data, difference, dropped, layer, query, mode, threshold, top, compared, apart } = view;
    const slab = data.cubesFromSlice[view.slice][0];
    const versions = [data.choices.version, difference?.b.choices.version, difference?.labels, dropped?.version];
    const drawn = [layer, query, mode, threshold, top, difference && compared, apart, slab.video, slab.t0];
    const key = JSON.stringify([versions, drawn, this.angles, aspect, area.width, area.height]);
    if (this.#slabs?.key !== key || this.#slabs.data !== data) {
      const [far, near] = [1, 2].map(() =>
        Object.assign(document.createElement("canvas"), { width: area.width, height: area.height }),
      );
      const areas = { far: { ...area, context: contextOf(far) }, near: { ...area, context: contextOf(near) } };
      this.#slabs = { key, data, far, near, stack: drawSlabs(areas, view, this.angles, aspect) };
    }
    return this.#slabs;
  }

  /**
   * @param {PointerEvent} event
   * @returns {Point}
   */
  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  /**
   * The nearest cube drawn at a place.
   * @param {PointerEvent} event
   */
  #cubeAt(event) {
    const place = this.#place(event);
    return this.#hits.findLast(({ points }) => inPolygon(place, points))?.cube ?? null;
  }

  /** @param {PointerEvent} event */
  #grab(event) {
    this.#from = { x: event.clientX, y: event.clientY, ...this.angles, moved: false };
    this.canvas.setPointerCapture(event.pointerId);
  }

  /** @param {PointerEvent} event */
  #drag(event) {
    const from = this.#from;
    if (!from) {
      this.onPick(this.#cubeAt(event), false);
      return;
    }
    const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
    from.moved ||= Math.hypot(dx, dy) > 4;
    if (from.moved) this.#turn(from.yaw - dx / 160, from.pitch + dy / 200);
  }

  /** @param {PointerEvent} event */
  #release(event) {
    const clicked = this.#from && !this.#from.moved;
    this.#from = null;
    if (clicked) this.onPick(this.#cubeAt(event), true);
  }

  /**
   * @param {number} yaw
   * @param {number} pitch
   */
  #turn(yaw, pitch) {
    this.angles = { yaw, pitch: Math.max(-1.4, Math.min(pitch, 1.4)) };
    this.onTurn();
  }

  /**
   * Arrows turn the stack while it has focus; Home turns it back. Other keys are the viewer's.
   * @param {KeyboardEvent} event
   */
  #key(event) {
    const { yaw, pitch } = this.angles;
    /** @type {Record<string, [number, number]>} */
    const turns = {
      ArrowLeft: [yaw + 0.12, pitch],
      ArrowRight: [yaw - 0.12, pitch],
      ArrowUp: [yaw, pitch + 0.1],
      ArrowDown: [yaw, pitch - 0.1],
      Home: [REST.yaw, REST.pitch],
    };
    const to = turns[event.key];
    if (!to || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.#turn(...to);
  }
}

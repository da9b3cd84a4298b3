/** What the page's parts hand each other, and what Gradio hands them. Messages from Python: viz/static/types.d.ts. */

import type {
  BesideMessage,
  CardMessage,
  EngineFacts,
  FinishedMessage,
  PickMessage,
  Preview,
  RunMessage,
  Summary,
} from "../../viz/static/types.js";
import type { Viewer } from "../../viz/static/viewer.js";

/** What Gradio gives the script of a `gr.HTML`, beside its element. */
export interface Mounted<Props> {
  props: Props;
  /** Start an event of the component's. */
  trigger: (event: string, data?: object) => void;
  /** Hear that a property was changed by the server. */
  watch: (property: keyof Props & string, listener: () => void) => void;
}

/** A point of `adaspark calibrate`: the thresholds of a share of dense FLOPs. */
export interface CalibrationPoint {
  budget: number;
  attn_top_p: number;
  ffn_top_p: number;
  text_top_p?: number;
}

/** viz/data/budget.py: a prefill's cost at `steps[i]` and `steps[j]` is `fixed + attention[i] + ffn[j]`. */
export interface CostCurves {
  steps: number[];
  fixed: number;
  attention: number[];
  ffn: number[];
}

/** app/page/ui.py: `_header`. */
export interface HeaderProps {
  value: EngineFacts;
  /** What a link begins with; empty: the page's own address. */
  link_base: string;
  /** Names of the question and the settings, in the order of the controls. */
  link_names: string[];
  sample_name: string;
  clip_name: string;
  calibration: CalibrationPoint[];
  /** Where the dials open; null without a budget dial. */
  opening: CalibrationPoint | null;
  presets: string[];
}

/** app/page/ui.py: the viewer. */
export interface ViewerProps {
  value: RunMessage | null;
}

export interface SampleCard {
  name: string;
  title: string;
  url: string;
  poster_secs?: number;
}

/** app/page/ui.py: `_picker`. */
export interface PickerProps {
  value: PickMessage | null;
  samples: SampleCard[];
  limit_bytes: number;
}

/** app/page/ui.py: the answer and its cost. */
export interface OutcomeProps {
  bundled: boolean;
}

/** app/page/ui.py: `_figures`. */
export interface FiguresProps {
  value: BesideMessage | null;
  plotly_url: string;
  /** Where the code of this page lies; empty: with whoever runs it. */
  code_url: string;
  /** Other studios that may be asked. */
  remotes: string[];
  /** Where this Space is duplicated; empty: it is none. */
  space_url: string;
  rivals: Record<string, string>;
  /** What the server allows, by the names of `/healthz`. */
  limits: Record<string, number>;
  /** Of a figure, the words in it and what they mean. */
  words: Record<string, Record<string, string>>;
}

/** The run in view. */
export interface Result {
  key: string;
  stem: string;
  summary: Summary;
}

/** What the page's parts tell each other, by signal. */
export interface Signals {
  /** The run in view; null: there is none any more. */
  result: Result | null;
  video: CardMessage & PickMessage;
  preview: Preview;
  /** A recorded run was opened, without a video. */
  opened: FinishedMessage;
  questions: CardMessage & PickMessage;
  beside: BesideMessage;
  theme: boolean;
  /** The page is in another language now. */
  language: string;
  /** The name of the open tab. */
  tab: string;
  /** The ticket of a run that begins. */
  asked: string;
  /** Whether the server answers. */
  connected: boolean;
  /** A lost upload was sent again: its question is to be asked. */
  resent: null;
  /** The viewer is on the page. */
  viewer: Viewer;
}

/** A finished run as it is drawn. */
export type Finished = FinishedMessage & { run: number };

/** A figure as plotly.py writes it: only what the page changes. */
export interface Figure {
  data: any[];
  layout: any;
}

/** plotly.js's own place of a figure. */
export interface PlotElement extends HTMLElement {
  data?: any;
  layout: any;
  on: (event: string, listener: (event: { points: any[] }) => void) => void;
  removeAllListeners: (event: string) => void;
}

export interface Plotly {
  react: (place: HTMLElement, data: any[], layout: any, config: object) => Promise<void>;
  relayout: (place: HTMLElement, change: object) => Promise<void>;
  purge: (place: HTMLElement) => void;
  toImage: (
    place: HTMLElement,
    options: { format: string; width: number; height: number; scale: number },
  ) => Promise<string>;
}

declare global {
  interface Window {
    /** Set by Gradio: where the app is mounted. */
    gradio_config?: { root?: string };
    /** Set by plotly.js once it is loaded. */
    Plotly?: Plotly;
  }
}

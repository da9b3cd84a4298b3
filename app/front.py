"""What the browser is served: our scripts and styles as one `<head>`, and the constant templates.

No visitor's text ever enters a template: templates are constant, text goes in through scripts as
`textContent`. Everything is local; the page asks nothing of another host.
"""

from __future__ import annotations

from pathlib import Path

from viz.page import viewer_css, viewer_script
from viz.palette import css_variables

STATIC = Path(__file__).parent / "static"
SCRIPTS = (
    "studio.js", "header.js", "export.js", "picker.js", "chips.js", "dials.js", "run.js",
    "progress.js", "figures.js",
)  # fmt: skip


def head() -> str:
    """`<style>` and `<script>` for the page's head."""
    styles = "\n".join((css_variables(), viewer_css(), _read("studio.css")))
    scripts = "\n".join((viewer_script(), *(_read(name) for name in SCRIPTS)))
    return f"<style>{styles}</style>\n<script>{scripts}</script>"


HEADER = """
<header class="masthead">
  <div class="brand"><h1>AdaSpark Studio</h1>
    <p>See which parts of a video a language model reads, layer by layer.</p></div>
  <div class="tools">
    <ul class="chips" aria-label="What is running"></ul>
    <div class="menu">
      <button type="button" class="menu-button" aria-expanded="false" aria-controls="export-menu"
        >Export</button>
      <div id="export-menu" class="menu-panel" hidden></div>
    </div>
    <div class="menu">
      <button type="button" class="menu-button" aria-expanded="false" aria-controls="link-panel"
        >Share link</button>
      <div id="link-panel" class="menu-panel" hidden>
        <label>Link <input type="text" readonly aria-label="Link to this view"></label>
        <p class="link-note" role="status" aria-live="polite"></p>
      </div>
    </div>
  </div>
</header>
"""

VIEWER = '<div class="viewer-host"></div>'

PICKER = """
<section class="picker" aria-label="Choose a video">
  <div class="cards" role="group" aria-label="Videos"></div>
  <label class="drop"><input type="file" aria-label="Video"
    accept="video/*,.mp4,.mkv,.webm,.avi,.mov,.m4v">
    <span><b>Upload a video</b> or drop it here</span></label>
  <p class="facts" role="status" aria-live="polite">Pick a sample clip or upload a video.</p>
  <p class="note" hidden></p>
  <div class="too-long" role="alert" hidden><p></p><button type="button"></button></div>
</section>
"""

CHIPS = '<div class="question-chips" role="group" aria-label="Suggested questions"></div>'

OUTCOME = """
<div class="outcome">
<p id="error" role="alert"></p>
<div id="progress"><ol aria-hidden="true"><li>Decode</li><li>Vision</li><li>Prefill</li>
  <li>Words</li></ol>
  <div class="bar" role="progressbar" aria-label="Phase" aria-valuemin="0" aria-valuemax="100"
    aria-valuenow="0"><i></i></div>
  <p class="phase-text" role="status" aria-live="polite"></p></div>
<section class="answer" aria-label="Answer"><h2>Answer</h2>
  <output id="answer" aria-live="polite"></output>
  <p class="about-model" hidden>The bundled model is small and knows only SparkWorld, a synthetic
  world of coloured shapes. On real footage its words mean nothing; what it selects is real.</p>
</section>
<dl id="cards" aria-label="Cost of this answer"></dl>
</div>
"""

FIGURES = """
<section class="figures" aria-label="Figures">
  <div role="tablist" aria-label="Figures"></div>
  <div class="figure-panels"></div>
</section>
"""


def _read(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")

"""What the browser is served: our scripts and styles as one `<head>`, and the constant templates.

No visitor's text ever enters a template: templates are constant, text goes in through scripts as
`textContent`. Everything is local; the page asks nothing of another host.
"""

from __future__ import annotations

from app.page import scripts
from viz.palette import css_variables
from viz.report.page import viewer_css


def head() -> str:
    """`<style>` and the entrance to our scripts, for the page's head."""
    own = (scripts.STATIC / "studio.css").read_text("utf-8")
    return f"<style>{css_variables()}\n{viewer_css()}\n{own}</style>\n{scripts.dispatcher()}"


HEADER = """
<a class="skip-link" href="#question">Skip to the question</a>
<header class="masthead">
  <div class="brand"><h1>AdaSpark Studio</h1>
    <p>Ask about a video; see what the model reads of it, layer by layer.</p></div>
  <div class="tools">
    <ul class="chips" aria-label="What is running"></ul>
    <div class="menu more">
      <button type="button" class="menu-button" aria-label="More" aria-expanded="false"
        aria-controls="more-panel">⋯</button>
      <div id="more-panel" class="menu-panel" hidden>
        <ul class="chips" aria-label="What is running"></ul>
        <select class="language" aria-label="Language">
          <option value="en" lang="en">English</option>
          <option value="zh" lang="zh">中文</option></select>
        <button type="button" class="tool-button theme" aria-label="Dark colours"
          aria-pressed="false">◐</button>
      </div>
    </div>
    <button type="button" class="tool-button story-opener">60-second story</button>
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
  <div class="cards" role="toolbar" aria-label="Videos"></div>
  <label class="drop"><input type="file" aria-label="Video" aria-describedby="drop-hint"
    accept="video/*,.mp4,.mkv,.webm,.avi,.mov,.m4v,.ts,.m2ts,.mts,.mpg,.mpeg,.vob,.flv,.wmv,.asf,.ogv,.3gp,.dv,.gif,.webp,.apng,.png,.npz">
    <span><b>Video</b><br><span id="drop-hint">upload, or drop it here</span></span></label>
  <p class="facts" role="status" aria-live="polite">Pick a sample clip or upload a video.</p>
  <p class="field-error" data-field="video" role="alert"></p>
  <p class="note" hidden></p>
  <ul class="warnings" role="note" aria-label="About the answer to expect" hidden></ul>
  <div class="too-long" role="alert" hidden><p></p><button type="button"></button></div>
  <div class="missing too-long" role="alert" hidden><p></p><button type="button"></button></div>
</section>
"""

CHIPS = """
<div class="chip-row">
  <div class="question-chips" role="group" aria-label="Suggested questions"></div>
  <p class="field-error" data-field="question" role="alert"></p></div>
"""

DIAL_ERROR = '<p class="field-error" data-field="dials" role="alert"></p>'

OUTCOME = """
<div class="outcome">
<section class="answer" aria-label="Answer"><h2>Answer</h2>
  <output id="answer" aria-live="polite"></output>
  <ul class="warnings" role="note" aria-label="About this answer" hidden></ul>
  <p class="about-model" hidden>The bundled model knows only SparkWorld, a synthetic world of
  coloured shapes. On real footage its words mean nothing; what it selects is real.</p>
</section>
<dl id="cards" aria-label="Cost of this answer"></dl>
<div id="progress"><ol aria-hidden="true"><li>Decode</li><li>Vision</li><li>Prefill</li>
  <li>Words</li></ol>
  <div class="bar" role="progressbar" aria-label="Phase" aria-valuemin="0" aria-valuemax="100"
    aria-valuenow="0"><i></i></div>
  <p class="phase-text" role="status" aria-live="polite"></p>
  <p id="error" class="field-error" role="alert"></p></div>
</div>
"""

FIGURES = """
<section class="figures" aria-label="Figures">
  <div role="tablist" aria-label="Figures"></div>
  <div class="figure-panels"></div>
  <template><div class="how">
    <h3>What this is</h3><p>A video model reads a video as thousands of tokens. AdaSpark lets each
    layer skip most of them. This page shows which ones, on the video itself.</p>
    <h3>1. Choose</h3><p>The video's tokens are grouped into cubes of time, height and width. In
    every layer and head, each token scores the mean key of every cube it may see, and keeps the
    fewest cubes whose share of the attention reaches Top-p.</p>
    <h3>2. Attend</h3><p>It then attends exactly to the text, to its own cube and to the cubes it
    kept. What is dropped is not computed.</p>
    <h3>3. Pass</h3><p>In each cube, the tokens that hold Top-p of the norm pass through the FFN;
    the others are moved by the mean of what it adds to those.</p>
    <h3>4. Read the pictures</h3><p>Bright is kept, dark is dropped, hatched skips the FFN. A kept
    cube was attended to; that is not proof that it caused the answer. FLOPs are counted, seconds
    are measured on this machine: they are never the same figure.</p>
    <h3>Words used here</h3>
    <dl><div><dt>Token</dt><dd>a patch of the picture in two frames, or part of a word.</dd></div>
    <div><dt>Slice</dt><dd>the two frames that share their tokens.</dd></div>
    <div><dt>Cube</dt><dd>neighbouring video tokens, chosen or dropped together.</dd></div>
    <div><dt>Layer, head</dt><dd>the model's steps, and parts of each that attend apart.</dd></div>
    <div><dt>Top-p</dt><dd>the share to keep, by the fewest cubes or tokens that hold it.</dd></div>
    <div><dt>FFN</dt><dd>the half of a layer that works on each token alone.</dd></div>
    <div><dt>Entropy</dt><dd>how evenly attention is spread: 0 is all in one place, 1 is everywhere
    alike. Effective cubes: how many that amounts to.</dd></div>
    <div><dt>Density</dt><dd>the share that is computed.</dd></div>
    <div><dt>Prefill</dt><dd>reading the video and the question, before the first word.</dd></div>
    <div><dt>FLOP</dt><dd>one arithmetic operation; a GFLOP is a billion.</dd></div>
    <div><dt>Choosing</dt><dd>scoring the cubes, to decide which to keep.</dd></div>
    <div><dt>Executed</dt><dd>what the kernels ran for what is kept: whole blocks.</dd></div>
    </dl>
    <h3>What is yours</h3><p>An uploaded video and the answers about it stay on this server,
    out of other visitors' sight, for the time that “About this server” names, or until space is
    needed or it stops. The page asks nothing of any other host.</p>
  </div></template>
</section>
"""

/* Gradio's stream goes on while an answer is still to come. */

import assert from "node:assert/strict";
import test from "node:test";

import { withWholeStreams } from "../../app/static/stream.js";

const message = (msg, event) => `data: ${JSON.stringify({ msg, event_id: event })}\n\n`;

/** A server whose streams are written by the test, and whose events are numbered by it. It ends each soon after it
    has said that it closes it; `broken` counts those that the page has dropped before. */
function server() {
  const streams = [];
  const seen = { broken: 0 };
  const fetched = async (url, { event } = {}) => {
    let body = JSON.stringify({ event_id: event });
    if (url.endsWith("/queue/data")) {
      const { readable, writable } = new TransformStream();
      const writer = writable.getWriter();
      writer.closed.catch(() => (seen.broken += 1));
      streams.push((text) => {
        writer.write(new TextEncoder().encode(text)).catch(() => {});
        if (text.includes("close_stream")) setTimeout(() => writer.close().catch(() => {}), 20);
      });
      body = readable;
    }
    const response = new Response(body);
    Object.defineProperty(response, "url", { value: url });
    return response;
  };
  return { streams, seen, fetch: withWholeStreams(fetched) };
}

const join = (page, event) => page.fetch("http://host/gradio_api/queue/join", { event });

async function opened(page) {
  const reader = (await page.fetch("http://host/gradio_api/queue/data")).body.getReader();
  return async () => new TextDecoder().decode((await reader.read()).value);
}

test("a stream ends once every event is answered", async () => {
  const page = server();
  await join(page, "a");
  const read = await opened(page);
  page.streams[0](message("process_completed", "a") + message("close_stream"));
  assert.equal(await read(), message("process_completed", "a"));
  assert.equal(await read(), message("close_stream"));
  assert.equal(await read(), ""); // the client need not break it off, which would be an error
  assert.equal(page.streams.length, 1);
});

test("no stream is dropped before the server has ended it", { timeout: 10_000 }, async () => {
  const page = server();
  await join(page, "a");
  const read = await opened(page);
  page.streams[0](message("close_stream"));
  while (page.streams.length < 2) await new Promise((go) => setTimeout(go));
  page.streams[1](message("process_completed", "a") + message("close_stream"));
  assert.equal(await read(), message("process_completed", "a"));
  assert.equal(await read(), message("close_stream"));
  assert.equal(await read(), "");
  assert.equal(page.seen.broken, 0);
});

test("an event that is sent while the stream ends is answered in the next one", { timeout: 10_000 }, async () => {
  const page = server();
  const read = await opened(page);
  page.streams[0](message("close_stream"));
  await join(page, "late");
  while (page.streams.length < 2) await new Promise((go) => setTimeout(go));
  page.streams[1](message("process_completed", "late"));
  assert.equal(await read(), message("process_completed", "late"));
});

test("it goes on in the next stream while one is unanswered", async () => {
  const page = server();
  await join(page, "a");
  const read = await opened(page);
  await join(page, "b");
  page.streams[0](message("process_completed", "a") + message("close_stream"));
  assert.equal(await read(), message("process_completed", "a"));
  const second = read();
  while (page.streams.length < 2) await new Promise((go) => setTimeout(go));
  page.streams[1](message("process_completed", "b"));
  assert.equal(await second, message("process_completed", "b"));
  page.streams[1](message("close_stream"));
  assert.equal(await read(), message("close_stream"));
});

test("a message may come in pieces, and a character too", async () => {
  const page = server();
  const read = await opened(page);
  const whole = `data: ${JSON.stringify({ msg: "log", log: "größer" })}\n\n`;
  page.streams[0](whole.slice(0, 9));
  page.streams[0](whole.slice(9) + message("heartbeat"));
  assert.equal(await read(), whole);
  assert.equal(await read(), message("heartbeat"));
});

test("other answers are handed on as they are", async () => {
  const { fetch } = server();
  assert.deepEqual(await (await fetch("http://host/other", { event: "x" })).json(), { event_id: "x" });
});

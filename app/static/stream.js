/* Gradio's stream of answers, which must not end before the last answer has come. No DOM.

   The server ends a page's stream once no event is under way, with the message "close_stream". An event that is sent at
   that moment is answered in the next stream, which Gradio's client (6.31) opens only if it has read the message before
   the server accepts the event; else the answer never comes. So here the message is passed on only if every event has
   been answered; if not, the next stream is read in its place.

   Either way the stream is first read to its very end. Gradio's client drops it as soon as it has read the message, and
   a server that has not yet finished it takes the page for gone: it forgets all events of the page, the new one too. */

/** The message's part of a stream, as an event stream writes it. */
const END = "\n\n";
const CLOSE = "close_stream";

/** What is to be done after a message. @typedef {(text: string) => "go on" | "end" | "read the next stream"} After */

/** Do so in the page's `fetch`, which Gradio's client calls: it is replaced, and nothing is added to the window. */
export function keepStreamsWhole() {
  Object.assign(window, { fetch: withWholeStreams(window.fetch.bind(window)) });
}

/**
 * A `fetch` whose streams go on while an event that was sent by it is unanswered.
 * @param {typeof fetch} fetchOnce
 * @returns {typeof fetch}
 */
export function withWholeStreams(fetchOnce) {
  /** @type {Set<string>} */
  const unanswered = new Set();
  let closing = Promise.resolve();

  /** @type {After} */
  const after = (text) => {
    const { msg, event_id: event } = messageOf(text);
    if (msg === "process_completed") unanswered.delete(event);
    if (msg !== CLOSE) return "go on";
    if (unanswered.size) return "read the next stream";
    closing = new Promise((go) => setTimeout(go)); // the client reads the message before anything else is answered
    return "end";
  };

  return async (...request) => {
    const response = await fetchOnce(...request);
    const part = response.ok && /\/queue\/(join|data)(\?|$)/.exec(response.url);
    if (!part) return response;
    if (part[1] === "join") {
      unanswered.add((await response.clone().json()).event_id);
      await closing;
      return response;
    }
    if (!response.body) return response;
    return new Response(
      continued(response.body, () => fetchOnce(...request), after),
      response,
    );
  };
}

/**
 * The messages of a stream, and in place of its last one those of the next stream if `after` says so.
 * @param {ReadableStream<Uint8Array>} first
 * @param {() => Promise<Response>} next
 * @param {After} after
 * @returns {ReadableStream<Uint8Array>}
 */
function continued(first, next, after) {
  const encoder = new TextEncoder();
  let messages = messagesOf(first);
  const nextStep = async () => {
    const { value, done } = await messages.next();
    if (done) return { value, then: "end" };
    if (messageOf(value).msg === CLOSE) await atEnd(messages);
    return { value, then: after(value) };
  };
  return new ReadableStream({
    async pull(controller) {
      let step = await nextStep();
      while (step.then === "read the next stream") {
        await messages.return();
        messages = messagesOf((await next()).body);
        step = await nextStep();
      }
      if (step.value) controller.enqueue(encoder.encode(step.value));
      if (step.then === "go on") return;
      await messages.return();
      controller.close();
    },
    cancel: async () => void (await messages.return()),
  });
}

/** @param {AsyncGenerator<string, void, void>} messages of which no further one matters */
async function atEnd(messages) {
  while (!(await messages.next()).done);
}

/**
 * A stream's messages, each with the blank line after it.
 * @param {ReadableStream<Uint8Array> | null} body
 * @returns {AsyncGenerator<string, void, void>}
 */
async function* messagesOf(body) {
  if (!body) return;
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (text + decoder.decode(value, { stream: true })).split(END);
      text = /** @type {string} */ (parts.pop());
      for (const part of parts) yield part + END;
    }
  } finally {
    await reader.cancel();
  }
}

/**
 * @param {string} text
 * @returns {{ msg?: string, event_id: string }}
 */
function messageOf(text) {
  return text.startsWith("data:") ? JSON.parse(text.slice("data:".length)) : { event_id: "" };
}

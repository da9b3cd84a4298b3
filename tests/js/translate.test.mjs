import assert from "node:assert/strict";
import { test } from "node:test";
import { CHINESE } from "../../app/static/chinese.js";
import { translator } from "../../app/static/translate.js";

const translate = translator([
  ["Ask", "提问"],
  ["It is kept.", "已保留。"],
  ["“{=}” in {}", "{1} 中的“{0}”"],
  ["{#} s", "{} 秒"],
  ["{} of {}", "{1} 中的 {0}"],
  ["Layer {#}: {}", "第 {} 层：{}"],
]);

test("a sentence of the table is the other language's, any other stays", () => {
  assert.equal(translate("Ask"), "提问");
  assert.equal(translate(" Ask\n"), " 提问\n");
  assert.equal(translate("What color is the star?"), "What color is the star?");
});

test("what changes keeps its place, and is looked up too", () => {
  assert.equal(translate("one of many"), "many 中的 one");
  assert.equal(translate("Layer 2: Ask"), "第 2 层：提问");
  assert.equal(translate("Layer two: Ask"), "Layer two: Ask");
  assert.equal(translate("“Ask” in Ask"), "提问 中的“Ask”");
  assert.equal(translate("4.00-4.75 s"), "4.00-4.75 秒");
});

test("the pattern that says most goes first, wherever it stands in the table", () => {
  const table = [
    ["{} of {}", "少"],
    ["layer {#} of {}", "多"],
  ];
  for (const each of [table, table.toReversed()]) assert.equal(translator(each)("layer 2 of 4"), "多");
});

test("of several sentences, or parts between semicolons, each is looked up", () => {
  assert.equal(translate("It is kept. Layer 2: Ask"), "已保留。第 2 层：提问");
  assert.equal(translate("Layer 2: Ask; Layer 3: Ask."), "第 2 层：提问；第 3 层：提问。");
  assert.equal(translate("It is kept. Who knows?"), "已保留。 Who knows?");
});

test("texts without letters are left alone", () => {
  assert.equal(translate("12.5 %"), "12.5 %");
});

test("each sentence is in the table once, with as many places in both languages", () => {
  const english = CHINESE.map(([each]) => each);
  assert.deepEqual(
    english.filter((each, i) => english.indexOf(each) !== i),
    [],
  );
  for (const [from, to] of CHINESE) {
    const places = (text) => (text.match(/\{[\d#=]?\}/g) ?? []).length;
    assert.ok(places(to) <= places(from), from);
  }
});

test("a sentence's places are those of its English one", () => {
  for (const [english, chinese] of CHINESE) {
    const places = english.match(/\{[#=]?\}/g)?.length ?? 0;
    const named = [...chinese.matchAll(/\{(\d)\}/g)].map(([, index]) => Number(index));
    assert.ok(
      named.every((index) => index < places),
      english,
    );
  }
});

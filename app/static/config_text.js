/* What the settings of a run are called beside its answer. */

/** @import { RunConfig, TopP } from "../../viz/static/types.js" */

/** @param {RunConfig} config */
export function settingsText(config) {
  const words = config.text_top_p === undefined ? "" : ` (words ${shown(config.text_top_p)})`;
  const weighed = config.ffn_importance === undefined ? "" : ` by FFN ${config.ffn_importance}`;
  const [attn, ffn] = [config.attn_top_p, config.ffn_top_p].map(shown);
  return `Top-p ${attn}${words} and ${ffn}${weighed}, cubes ${config.cube.join(" x ")}`;
}

/** @param {TopP} topP */
function shown(topP) {
  return Array.isArray(topP) ? `${Math.min(...topP)} to ${Math.max(...topP)} by layer` : String(topP);
}

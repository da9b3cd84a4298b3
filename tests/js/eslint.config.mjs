import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    files: ["viz/static/*.js", "app/static/*.js"],
    languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: globals.browser },
    rules: {
      "max-lines-per-function": ["error", { max: 60 }],
      "max-len": ["error", { code: 120 }],
      "max-lines": ["error", { max: 250, skipBlankLines: true, skipComments: true }],
      "no-restricted-syntax": [
        "error",
        {
          selector: "AssignmentExpression[left.object.name=/^(window|globalThis)$/]",
          message: "Nothing hangs on window: export it.",
        },
        {
          selector: "MemberExpression[property.name=/^(innerHTML|outerHTML|insertAdjacentHTML)$/]",
          message: "Text is never parsed as markup.",
        },
      ],
      "no-eval": "error",
      "no-implicit-globals": "error",
      "no-param-reassign": "off",
      "no-shadow": "error",
      "no-var": "error",
      "prefer-const": "error",
      eqeqeq: ["error", "always", { null: "ignore" }],
      curly: ["error", "multi-line"],
      "consistent-return": "error",
    },
  },
  {
    files: ["tests/js/*.mjs"],
    languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: globals.node },
    rules: { "max-len": ["error", { code: 120 }], "max-lines-per-function": ["error", { max: 60 }] },
  },
];

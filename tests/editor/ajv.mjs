// Judges files by a JSON Schema with Ajv, the validator that most editors and services build on, in strict mode.
// node ajv.mjs NODE_MODULES < {"schema": …, "documents": {name: data or {"yaml": text}}} > {name: [message, …]}
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const require = createRequire(join(process.argv[2], "anything.js"));
const Ajv = require("ajv/dist/2020").default;
const addFormats = require("ajv-formats").default;
const yaml = require("js-yaml");

const { schema, documents } = JSON.parse(readFileSync(0, "utf8"));
// Strict, but for what is meant: known keys of open mappings match their pattern too, and a table's `oneOf` names keys
// whose types stand beside it.
const meant = { allowMatchingProperties: true, strictTypes: false, strictRequired: false };
const ajv = addFormats(new Ajv({ strict: true, allErrors: true, ...meant }));
const validate = ajv.compile(schema);
const said = ({ instancePath, message, params }) => `${instancePath || "/"} ${message} ${JSON.stringify(params)}`;
const judged = Object.entries(documents).map(([name, { yaml: text, data }]) => {
  validate(text === undefined ? data : yaml.load(text));
  return [name, (validate.errors ?? []).map(said)];
});
console.log(JSON.stringify(Object.fromEntries(judged)));

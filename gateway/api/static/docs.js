"use strict";
// Renders /openapi.json. Everything is made as text nodes: nothing of the document is ever read as HTML.

const DEPTH = 6; // of nested schemas; deeper ones are named only

function make(name, text, ...children) {
  const node = document.createElement(name);
  if (text) node.textContent = text;
  node.append(...children);
  return node;
}

function resolve(spec, value) {
  if (!value || !value.$ref) return value || {};
  return value.$ref.slice(2).split("/").reduce((found, step) => found[step], spec);
}

function typeOf(spec, schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const choices = schema.anyOf || schema.oneOf;
  if (choices) return choices.map((one) => typeOf(spec, one)).join(" | ");
  if (schema.type === "array") return `${typeOf(spec, schema.items || {})}[]`;
  return schema.type || "any";
}

function members(spec, schema) {
  const whole = resolve(spec, schema);
  const choices = (whole.anyOf || whole.oneOf || []).map((one) => resolve(spec, one));
  return [whole, ...choices, resolve(spec, whole.items), resolve(spec, whole.additionalProperties)].find((one) => one.properties);
}

function* rows(spec, schema, prefix, depth) {
  const object = members(spec, schema);
  if (!object || depth > DEPTH) return;
  const required = new Set(object.required || []);
  for (const [name, field] of Object.entries(object.properties)) {
    yield [prefix + name + (required.has(name) ? "" : "?"), typeOf(spec, field), field.description || resolve(spec, field).description || ""];
    yield* rows(spec, field, `${prefix}${name}.`, depth + 1);
  }
}

function table(heads, lines) {
  const head = make("tr", "", ...heads.map((one) => make("th", one)));
  const body = lines.map(([name, type, text]) =>
    make("tr", "", make("td", "", make("code", name)), make("td", "", make("code", type)), make("td", text)));
  return make("table", "", make("thead", "", head), make("tbody", "", ...body));
}

function content(spec, title, media) {
  const parts = [make("h4", title)];
  const schema = media.schema || {};
  const fields = [...rows(spec, schema, "", 0)];
  if (fields.length) parts.push(table(["field", "type", "meaning"], fields));
  const example = media.example !== undefined ? media.example : (resolve(spec, schema).examples || [])[0];
  if (example !== undefined) parts.push(make("pre", JSON.stringify(example, null, 2)));
  return parts;
}

function parameters(spec, operation) {
  const lines = (operation.parameters || []).map((one) => {
    const parameter = resolve(spec, one);
    const name = `${parameter.name}${parameter.required ? "" : "?"} (${parameter.in})`;
    return [name, typeOf(spec, parameter.schema || {}), parameter.description || ""];
  });
  return lines.length ? [make("h4", "Parameters"), table(["parameter", "type", "meaning"], lines)] : [];
}

function access(operation) {
  if (!operation.security.length) return "Needs no credential.";
  const scope = operation["x-intended-scope"];
  const roles = operation["x-intended-roles"];
  return `Needs ${scope ? `the scope ${scope}` : "a valid credential"}${roles ? ` and the role ${roles.join(" or ")}` : ""}.`;
}

function entry(spec, path, method, operation) {
  const title = make("summary", "", make("span", method.toUpperCase()), make("code", path), ` ${operation.summary}`);
  title.firstChild.className = "method";
  const parts = [make("p", operation.description), make("p", access(operation)), ...parameters(spec, operation)];
  const body = operation.requestBody;
  if (body) parts.push(...content(spec, body.required ? "Body" : "Body (may be left out)", body.content["application/json"]));
  for (const [status, response] of Object.entries(operation.responses)) {
    const media = (response.content || {})["application/json"];
    const name = `${status} ${response.description}`;
    if (!media) parts.push(make("h4", name));
    else if (status.startsWith("2")) parts.push(...content(spec, name, media));
    else parts.push(make("h4", name), make("pre", JSON.stringify(media.example, null, 2) || ""));
  }
  const details = make("details", "", title);
  details.dataset.words = `${method} ${path} ${operation.summary} ${operation.tags}`.toLowerCase();
  // Filled when it is first opened: a hundred tables at once make the page slow.
  details.addEventListener("toggle", () => details.append(...parts), { once: true });
  return details;
}

function show(spec) {
  const groups = new Map();
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const tag = (operation.tags || ["Other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(entry(spec, path, method, operation));
    }
  }
  const sections = [...groups].map(([tag, entries]) => make("section", "", make("h2", tag), ...entries));
  document.getElementById("operations").replaceChildren(make("p", spec.info.description), ...sections);
}

function filter(words) {
  for (const details of document.querySelectorAll("details")) {
    details.hidden = !words.toLowerCase().split(/\s+/).every((word) => details.dataset.words.includes(word));
  }
  for (const section of document.querySelectorAll("section")) {
    section.hidden = !section.querySelector("details:not([hidden])");
  }
}

document.getElementById("filter").addEventListener("input", (event) => filter(event.target.value));

fetch("openapi.json")
  .then((answer) => answer.json())
  .then(show)
  .catch((fault) => document.getElementById("operations").replaceChildren(make("p", `The document cannot be shown: ${fault}`)));

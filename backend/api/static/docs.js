// Draws the OpenAPI document. Text only ever becomes text nodes: nothing in it can be run.
const make = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};

const METHODS = ["get", "post", "put", "patch", "delete"];
let known = {};

const resolve = (schema) => {
  if (!schema || !schema.$ref) return schema || {};
  return known[schema.$ref.split("/").pop()] || {};
};

const kind = (schema) => {
  const found = resolve(schema);
  if (schema && schema.$ref) return schema.$ref.split("/").pop();
  if (found.anyOf) return found.anyOf.map(kind).filter((one) => one !== "null").join(" or ");
  if (found.enum) return found.enum.join(" | ");
  if (found.const) return found.const;
  if (found.type === "array") return `list of ${kind(found.items)}`;
  return found.type || "any";
};

const fields = (schema) => {
  const found = resolve(schema);
  if (!found.properties) return null;
  const rows = Object.entries(found.properties).map(([name, value]) =>
    make("tr", {},
      make("td", {}, make("code", {}, name), (found.required || []).includes(name) ? " *" : ""),
      make("td", {}, kind(value)),
      make("td", {}, value.description || resolve(value).description || "")));
  return make("table", {}, make("tr", {}, make("th", {}, "Field"), make("th", {}, "Type"), make("th", {}, "")), ...rows);
};

const parameters = (list) => {
  if (!list || !list.length) return null;
  const rows = list.map((one) =>
    make("tr", {},
      make("td", {}, make("code", {}, one.name), one.required ? " *" : ""),
      make("td", {}, `${one.in}, ${kind(one.schema)}`),
      make("td", {}, one.description || "")));
  return make("table", {}, make("tr", {}, make("th", {}, "Parameter"), make("th", {}, "Where"), make("th", {}, "")), ...rows);
};

const bodies = (body) => {
  if (!body) return null;
  return make("div", {}, make("h4", {}, "Body"), ...Object.entries(body.content).map(([type, media]) =>
    make("div", {}, make("p", {}, make("code", {}, type)), fields(media.schema) || "")));
};

const answers = (responses) => make("div", {}, make("h4", {}, "Answers"),
  ...Object.entries(responses).map(([status, answer]) => {
    const media = Object.values(answer.content || {})[0];
    const table = Number(status) < 300 && media ? fields(media.schema) : null;
    return make("div", {}, make("p", {}, make("code", {}, status), ` ${answer.description || ""}`), table);
  }));

const endpoint = (path, method, operation, id) => make("details", { id },
  make("summary", {}, make("span", { class: "method" }, method.toUpperCase()), make("code", {}, path),
    make("span", { class: "scope" }, operation.summary || "")),
  make("p", {}, operation.description || ""),
  parameters(operation.parameters), bodies(operation.requestBody), answers(operation.responses));

const draw = (spec) => {
  known = (spec.components || {}).schemas || {};
  document.getElementById("title").textContent = `${spec.info.title} ${spec.info.version}`;
  document.getElementById("description").textContent = spec.info.description || "";
  const groups = new Map();
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of METHODS.filter((one) => item[one])) {
      const tag = (item[method].tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push([path, method, item[method]]);
    }
  }
  const main = document.getElementById("endpoints");
  const contents = document.getElementById("contents");
  main.replaceChildren();
  for (const [tag, list] of groups) {
    main.append(make("h2", {}, tag));
    for (const [path, method, operation] of list) {
      const id = `${method}-${path.replace(/[^a-z0-9]+/gi, "-")}`;
      main.append(endpoint(path, method, operation, id));
      const link = make("a", { href: `#${id}` }, `${method.toUpperCase()} ${path}`);
      link.addEventListener("click", () => { document.getElementById(id).open = true; });
      contents.append(link);
    }
  }
};

try {
  const answer = await fetch("/openapi.json");
  draw(await answer.json());
} catch (error) {
  document.getElementById("endpoints").textContent = "The OpenAPI document could not be loaded.";
}

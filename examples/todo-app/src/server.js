"use strict";

const { createServer } = require("node:http");
const { readFile } = require("node:fs/promises");
const path = require("node:path");
const { Todos } = require("./todos");

const PUBLIC = path.join(__dirname, "..", "public");

function json(response, status, body) {
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" });
  response.end(JSON.stringify(body));
}

async function body(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text ? JSON.parse(text) : {};
}

/** The whole application: a page, a small API and a health check. */
function makeServer(todos = new Todos()) {
  return createServer(async (request, response) => {
    try {
      const { pathname } = new URL(request.url, "http://localhost");
      const id = Number(pathname.split("/")[3]);
      if (pathname === "/health") return json(response, 200, { ok: true });
      if (pathname === "/api/todos" && request.method === "GET") return json(response, 200, todos.list());
      if (pathname === "/api/todos" && request.method === "POST") {
        return json(response, 201, todos.add((await body(request)).text));
      }
      if (pathname.startsWith("/api/todos/") && request.method === "PUT") {
        const item = todos.toggle(id);
        return json(response, item ? 200 : 404, item ?? { error: "no such todo" });
      }
      if (pathname.startsWith("/api/todos/") && request.method === "DELETE") {
        return json(response, todos.remove(id) ? 200 : 404, {});
      }
      if (pathname === "/") {
        response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
        return response.end(await readFile(path.join(PUBLIC, "index.html")));
      }
      return json(response, 404, { error: "not found" });
    } catch (error) {
      return json(response, error instanceof RangeError || error instanceof SyntaxError ? 400 : 500, {
        error: error.message,
      });
    }
  });
}

module.exports = { makeServer };

if (require.main === module) {
  const port = Number(process.env.PORT ?? 3000);
  const server = makeServer();
  server.listen(port, () => console.log(`todo-app listens on port ${port}`));
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => server.close(() => process.exit(0)));
}

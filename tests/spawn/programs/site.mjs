// What `site.py` is, for node: `node site.mjs [WHERE [HOST]]`, where WHERE is a port or the path
// of a Unix socket, and PORT of the environment if it is not given.

import { createHash } from "node:crypto";
import http from "node:http";

const [where = process.env.PORT, host] = process.argv.slice(2);
const streams = [];

const server = http.createServer((request, response) => {
  const path = request.url.split("?")[0];
  if (path === "/stream") {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.write("first\n");
    streams.push(response);
    return;
  }
  if (path === "/go") {
    for (const stream of streams) stream.end("last\n");
  }
  const digest = createHash("sha256");
  request.on("data", (block) => digest.update(block));
  request.on("end", () => {
    response.writeHead(200, { "Content-Type": "application/json" });
    response.end(JSON.stringify({ PATH_INFO: path, body_sha256: digest.digest("hex") }));
  });
});

if (/^\d+$/.test(where)) server.listen(Number(where), host);
else server.listen(where);

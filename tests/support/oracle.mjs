// Signs and verifies with the npm package http-message-signatures, which is installed in the
// directory argv[2]. A list of jobs comes as JSON on stdin, a list of results goes to stdout.
import { createPrivateKey, createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.argv[2], "index.js"));
const { createSigner, createVerifier, httpbis } = require("http-message-signatures");

function keyOf(job) {
  const der = Buffer.from(job.key, "base64");
  if (job.algorithm === "hmac-sha256") return der;
  return job.does === "sign"
    ? createPrivateKey({ key: der, format: "der", type: "pkcs8" })
    : createPublicKey({ key: der, format: "der", type: "spki" });
}

async function sign(job) {
  const created = new Date(job.created * 1000);
  const signed = await httpbis.signMessage(
    {
      key: createSigner(keyOf(job), job.algorithm, "k1"),
      name: "wsgiproxy",
      fields: job.covered,
      params: ["created", "keyid", "alg", "nonce", "tag"],
      paramValues: { created, nonce: job.nonce, tag: "wsgiproxy" },
    },
    job.message,
  );
  return [signed.headers["Signature-Input"], signed.headers["Signature"]];
}

async function verify(job) {
  const verifier = createVerifier(keyOf(job), job.algorithm);
  const keyLookup = async (said) =>
    said.keyid === "k1" ? { id: "k1", algs: [job.algorithm], verify: verifier } : null;
  return httpbis.verifyMessage(
    {
      keyLookup,
      all: true,
      requiredFields: job.covered,
      requiredParams: ["created", "keyid", "alg", "nonce", "tag"],
      notAfter: job.created + 5,
    },
    job.message,
  );
}

const does = { sign, verify };
const jobs = JSON.parse(readFileSync(0, "utf8"));
const results = await Promise.all(jobs.map((job) => does[job.does](job)));
process.stdout.write(JSON.stringify(results));

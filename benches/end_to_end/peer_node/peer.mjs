// Sends a CSV of usage rows with csv-parse and fetch, as a careful script would.
// node peer.mjs FILE URL [IN_FLIGHT]
import { createReadStream } from "node:fs";
import { parse } from "csv-parse";

const [file, url, inFlight = "8"] = process.argv.slice(2);
const query =
  "mutation ReportUsageBulk($input: ReportUsageBulkInput!) { reportUsageBulk(input: $input) { id } }";

async function send(usages) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ operationName: "ReportUsageBulk", query, variables: { input: { usages } } }),
  });
  const body = await answer.json();
  if (!answer.ok || body.errors) throw new Error(`refused with status ${answer.status}`);
}

const pending = new Set();
async function dispatch(usages) {
  const request = send(usages).finally(() => pending.delete(request));
  pending.add(request);
  if (pending.size >= Number(inFlight)) await Promise.race(pending);
}

let batch = [];
const rows = createReadStream(file, { highWaterMark: 1 << 20 }).pipe(parse({ columns: true }));
for await (const row of rows) {
  batch.push({
    customerId: row.customer_id,
    featureId: row.feature,
    resourceId: row.resource,
    value: Number(row.total),
    updateBehavior: "SET",
    createdAt: row.read_at,
  });
  if (batch.length === 100) {
    await dispatch(batch);
    batch = [];
  }
}
if (batch.length > 0) await dispatch(batch);
await Promise.all(pending);

// Reads messages as JSON lines and sends them with Dittofeed's own client.
import { readFileSync } from "node:fs";
import sdk from "@dittofeed/sdk-node";

const [host, writeKey] = process.argv.slice(2);
const { DittofeedSdk } = sdk;
await DittofeedSdk.init({ host, writeKey });
for (const line of readFileSync(0, "utf8").split("\n")) {
  const message = JSON.parse(line);
  if (message.type === "identify") {
    DittofeedSdk.identify({ userId: message.user, traits: message.traits });
  } else {
    DittofeedSdk.track({ userId: message.user, event: message.event, properties: message.properties });
  }
}
await DittofeedSdk.flush();

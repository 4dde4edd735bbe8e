// node --experimental-websocket picture.mjs PAGE OUT [WIDTH] [light|dark|print] [HASH] [SELECTOR]: a picture of a page, or of one element of it.

import { writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { launch } from "./browser.mjs";

const [page, out, width = "1200", theme = "light", hash = "", selector = "", opened = ""] = process.argv.slice(2);
const browser = await launch(process.env.CHROMIUM ?? "chromium");
const tab = await browser.page({ width: Number(width), height: 1000, dark: theme === "dark", media: theme === "print" ? "print" : "" });
await tab.goto(pathToFileURL(page).href + hash);
await new Promise((resolve) => setTimeout(resolve, 300));
if (opened) await tab.value("document.querySelectorAll('details').forEach(d => { d.open = true; }), 0");
if (selector) {
  const box = await tab.value(`(() => { const box = document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect(); return { x: box.x + scrollX, y: box.y + scrollY, width: box.width, height: Math.min(box.height, 3000), scale: 1 }; })()`);
  const { data } = await tab.send("Page.captureScreenshot", { format: "png", captureBeyondViewport: true, clip: box });
  writeFileSync(out, Buffer.from(data, "base64"));
} else {
  writeFileSync(out, await tab.picture());
}
for (const message of tab.messages) console.error(message);
await browser.close();

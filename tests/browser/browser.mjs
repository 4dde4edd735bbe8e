// A page of Chromium, driven over its debugging protocol. No dependency: Node's own WebSocket.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-port=0"];

export async function launch(program) {
  const profile = mkdtempSync(join(tmpdir(), "driftgauge-browser-"));
  const child = spawn(program, [...FLAGS, `--user-data-dir=${profile}`, "about:blank"], { stdio: ["ignore", "ignore", "pipe"] });
  const address = await new Promise((resolve, reject) => {
    let text = "";
    child.stderr.on("data", (chunk) => {
      text += chunk;
      const match = /DevTools listening on (ws:\S+)/.exec(text);
      if (match) resolve(match[1]);
    });
    child.on("error", reject);
    child.on("exit", () => reject(new Error(`${program} ended: ${text.slice(-400)}`)));
  });
  const connection = await connect(address);
  return {
    page: (options) => open(connection, options),
    close: async () => {
      const ended = new Promise((resolve) => child.on("exit", resolve));
      connection.send("Browser.close").catch(() => {});
      await ended;
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

async function connect(address) {
  const socket = new WebSocket(address);
  await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
  const waiting = new Map();
  const listeners = new Set();
  let next = 1;
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.id === undefined) {
      for (const listener of listeners) listener(message);
      return;
    }
    const { resolve, reject } = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error) reject(new Error(message.error.message));
    else resolve(message.result);
  };
  return {
    listeners,
    send: (method, params = {}, sessionId) => new Promise((resolve, reject) => {
      const id = next++;
      waiting.set(id, { resolve, reject });
      socket.send(JSON.stringify({ id, method, params, sessionId }));
    }),
  };
}

async function open(connection, { width = 1200, height = 900, dark = false, script = true, media = "" } = {}) {
  const { targetId } = await connection.send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await connection.send("Target.attachToTarget", { targetId, flatten: true });
  const send = (method, params) => connection.send(method, params, sessionId);
  const requests = [];
  const messages = [];
  let loaded = () => {};
  const listener = (message) => {
    if (message.sessionId !== sessionId) return;
    if (message.method === "Network.requestWillBeSent") requests.push(message.params.request.url);
    if (message.method === "Runtime.exceptionThrown") messages.push(message.params.exceptionDetails.text + " " + (message.params.exceptionDetails.exception?.description ?? ""));
    if (message.method === "Log.entryAdded" && message.params.entry.level === "error") messages.push(message.params.entry.text);
    if (message.method === "Page.javascriptDialogOpening") {
      messages.push(`dialog: ${message.params.message}`);
      send("Page.handleJavaScriptDialog", { accept: true });
    }
    if (message.method === "Page.loadEventFired") loaded();
  };
  connection.listeners.add(listener);
  for (const domain of ["Page", "Network", "Runtime", "Log"]) await send(`${domain}.enable`);
  await send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
  await send("Emulation.setEmulatedMedia", { media, features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }, { name: "prefers-reduced-motion", value: "reduce" }] });
  await send("Emulation.setScriptExecutionDisabled", { value: !script });
  return {
    requests,
    messages,
    send,
    goto: async (url) => {
      const load = new Promise((resolve) => { loaded = resolve; });
      await send("Page.navigate", { url });
      await load;
    },
    // The value of an expression in the page, promises awaited.
    value: async (expression) => {
      const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    },
    key: async (key, code = key) => {
      for (const type of ["keyDown", "keyUp"]) await send("Input.dispatchKeyEvent", { type, key, code, windowsVirtualKeyCode: key === "Tab" ? 9 : key === "Enter" ? 13 : 0, text: type === "keyDown" && key === "Enter" ? "\r" : undefined });
    },
    picture: async (full = true) => {
      const { data } = await send("Page.captureScreenshot", { format: "png", captureBeyondViewport: full });
      return Buffer.from(data, "base64");
    },
    print: async () => {
      const { data } = await send("Page.printToPDF", { preferCSSPageSize: true, printBackground: true });
      return Buffer.from(data, "base64");
    },
    close: async () => {
      connection.listeners.delete(listener);
      await connection.send("Target.closeTarget", { targetId });
    },
  };
}

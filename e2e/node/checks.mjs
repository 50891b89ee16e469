// What the scripts begin with: the client as its users have it, and how to tell what was seen.

import { webcrypto } from "node:crypto";
import { createInterface } from "node:readline";
import WebSocket from "ws";
import { createTrustGraphSocket } from "@trustgraph/client";

// The package is written for browsers and brings neither. Node has the first from version 22 on and
// the second from 19 on; until then its users put them there.
globalThis.WebSocket ??= WebSocket;
globalThis.crypto ??= webcrypto;

// The package chats. What is told stands alone on stdout.
console.log = console.error;

/** One JSON line. The test in Rust knows what should have been seen. */
function tell(check, seen) {
  process.stdout.write(JSON.stringify({ check, seen: seen ?? null }) + "\n");
}

/** Tells what becomes of a promise: its value, or how it was refused. */
async function tellOf(check, promise) {
  const refused = (error) => ({ refused: error instanceof Error ? error.message : error });
  tell(check, await promise.catch(refused));
}

/** A socket of the package, and its states so far. */
function open(token) {
  const socket = createTrustGraphSocket("ada", token, process.env.TOLLGATE_URL);
  const states = [];
  socket.onConnectionStateChange((state) => states.push(state.status));
  return { socket, states };
}

/** A stream of one of the wrappers with callbacks, when it has ended. */
function streamed(call) {
  return new Promise((resolve) => {
    const chunks = [];
    const onChunk = (...chunk) => {
      chunks.push(chunk);
      if (chunk[1]) resolve(chunks);
    };
    call(onChunk, (error) => resolve([...chunks, { error }]));
  });
}

/** Lines that the test says. */
const said = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

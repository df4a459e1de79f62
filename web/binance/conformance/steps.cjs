// What the scripts of all clients have in common: a configuration as JSON on standard
// input, and for each step a line of JSON on standard output.
'use strict';
const fs = require('fs');
const assert = require('assert/strict');

const config = JSON.parse(fs.readFileSync(0, 'utf8'));
let failed = false;

// step runs a step; what it throws is the step's failure. Later steps run all the same.
async function step(name, run) {
  let line = { step: name, ok: true };
  try {
    const timeout = new Promise((_, refuse) => setTimeout(() => refuse(new Error('no answer in 20 seconds')), 20000).unref());
    await Promise.race([run(), timeout]);
  } catch (e) {
    failed = true;
    line = { step: name, ok: false, error: String((e && (e.stack || e.message)) || e) + (e && e.code !== undefined ? ' code ' + e.code : '') };
  }
  console.log(JSON.stringify(line));
}

// end ends the process, also if the client keeps connections.
function end() {
  process.exit(failed ? 1 : 0);
}

// decimal makes sure that money is text.
function decimal(text) {
  assert.equal(typeof text, 'string');
  assert.match(text, /^[0-9]+(\.[0-9]+)?$/);
  return Number(text);
}

module.exports = { config, step, end, assert, decimal };

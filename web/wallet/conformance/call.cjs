// Makes calls with npm's bitcoin-core, unmodified. It is told where the gate is and what to
// call by its argument, as JSON, and prints what was answered, as JSON.
const path = require('path');
const Client = require(path.join(process.env.MODULES, 'node_modules', 'bitcoin-core'));

const want = JSON.parse(process.argv[2]);
const [username, password] = require('fs').readFileSync(want.cookie, 'utf8').split(':');
const quiet = { debug() {}, error() {}, info() {}, trace() {}, warn() {}, child() { return quiet; } };
const client = new Client({ host: want.url, username, password, wallet: want.wallet, version: '0.21.0', logger: quiet });

client.command(want.method, ...want.params).then(
  answer => console.log(JSON.stringify(answer)),
  e => {
    console.error(e);
    process.exit(1);
  },
);

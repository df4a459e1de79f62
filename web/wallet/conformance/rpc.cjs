// Runs the wallet flow with npm's bitcoin-core, unmodified. It is told where the gate is and
// what is expected by its arguments, as JSON, and prints what it saw, as JSON.
const path = require('path');
const modules = path.join(process.env.MODULES, 'node_modules');
const Client = require(path.join(modules, 'bitcoin-core'));

const want = JSON.parse(process.argv[2]);
const [username, password] = require('fs').readFileSync(want.cookie, 'utf8').split(':');
const quiet = { debug() {}, error() {}, info() {}, trace() {}, warn() {}, child() { return quiet; } };
const client = new Client({ host: want.url, username, password, wallet: 'btc', version: '0.21.0', logger: quiet });

const failure = async run => {
  try {
    await run();
  } catch (e) {
    return { code: e.code, message: e.message };
  }
  return null;
};

(async () => {
  const seen = {};
  seen.balance = await client.getBalance('*', 0);
  seen.info = await client.getWalletInfo();
  seen.wallets = await client.listWallets();
  seen.chain = await client.getBlockchainInfo();
  seen.network = await client.getNetworkInfo();
  seen.address = await client.getNewAddress('npm');
  seen.valid = await client.validateAddress(seen.address);
  seen.own = await client.getAddressInfo(seen.address);
  seen.fee = await client.estimateSmartFee(6);
  seen.sent = await client.sendToAddress(want.to, 0.25, 'id:npm-1');
  seen.again = await client.sendToAddress(want.to, 0.25, 'id:npm-1');
  seen.other = await failure(() => client.sendToAddress(want.to, 0.26, 'id:npm-1'));
  seen.first = await client.sendToAddress(want.to, 0.125);
  seen.twice = await failure(() => client.sendToAddress(want.to, 0.125));
  seen.many = await client.sendMany('', { [want.to]: 0.125, [want.to2]: 0.1 }, 1, 'two');
  seen.transaction = await client.getTransaction(seen.sent);
  seen.group = await client.getTransaction(seen.many);
  seen.list = await client.listTransactions('*', 100);
  seen.received = await client.listReceivedByAddress(0, true);
  seen.unspent = await client.listUnspent();
  seen.much = await failure(() => client.sendToAddress(want.to, 50));
  seen.nowhere = await failure(() => client.sendToAddress('nowhere', 1));
  seen.stop = await failure(() => client.stop());
  seen.batch = await client.command([{ method: 'getbalance', parameters: [] }, { method: 'getblockcount', parameters: [] }]);
  seen.wrong = await failure(() => new Client({ host: want.url, username, password: 'wrong', logger: quiet }).getBalance());
  console.log(JSON.stringify(seen));
})().catch(e => {
  console.error(e);
  process.exit(1);
});

// ccxt, as the exchange that the configuration names: twelve steps of REST and nine of WebSocket.
'use strict';
const { config, step, end, assert } = require('./steps.cjs');
const fs = require('fs');
const path = require('path');
const ccxt = require('ccxt');

const symbol = 'BTC/EUR';
const { base, wss } = config;

// open makes the client as docs/clients.md says.
function open() {
  const text = fs.readFileSync(path.join(__dirname, '../../../docs/clients.md'), 'utf8');
  const [, code] = /^## ccxt .*\n\n((?: {4}.*\n)+)/m.exec(text);
  const make = new Function('ccxt', 'apiKey', 'secret', 'BASE', 'WSS', 'return ' + code.trim());
  return make({ binanceus: ccxt.pro[config.exchange] }, config.key, config.secret, base, wss);
}

// bases are all URLs that a client has, with their names.
function bases(urls, name) {
  return Object.entries(urls).flatMap(([k, v]) => (typeof v === 'string' ? [[name + k, v]] : bases(v, name + k + '.')));
}

async function rest(ex) {
  let limit;
  await step('loadMarkets', async () => {
    // A base that is not the gate's gets requests that the key has signed.
    assert.deepEqual(bases(ex.urls.api, '').filter(([, url]) => url !== base && !url.startsWith(base + '/') && !url.startsWith(wss + '/')), []);
    const m = (await ex.loadMarkets())[symbol];
    assert.equal(m.active, true);
    assert.equal(m.base, 'BTC');
    assert.ok(m.precision.price > 0 && m.precision.amount > 0 && m.limits.cost.min >= 0);
  });
  await step('fetchOrderBook', async () => {
    const b = await ex.fetchOrderBook(symbol, 5);
    assert.ok(b.bids.length > 0 && b.asks.length > 0 && b.bids[0][0] < b.asks[0][0] && b.nonce > 0);
  });
  await step('fetchTicker', async () => {
    const t = await ex.fetchTicker(symbol);
    assert.ok(t.last > 0 && t.bid > 0 && t.ask > t.bid && t.baseVolume > 0 && t.high >= t.low);
  });
  await step('fetchTrades', async () => {
    const t = await ex.fetchTrades(symbol, undefined, 5);
    assert.ok(t.length > 0 && t[0].price > 0 && t[0].amount > 0 && t[0].timestamp > 0);
  });
  await step('fetchOHLCV', async () => {
    const c = await ex.fetchOHLCV(symbol, '1m', undefined, 5);
    assert.ok(c.length > 0 && c[c.length - 1][4] > 0);
  });
  await step('fetchBalance', async () => {
    const b = await ex.fetchBalance();
    assert.equal(b.EUR.total, 100000);
    assert.equal(b.EUR.free, 100000);
    assert.equal(b.BTC.free, 10);
  });
  await step('createOrder limit', async () => {
    limit = await ex.createOrder(symbol, 'limit', 'buy', 0.01, 40000);
    assert.equal(limit.status, 'open');
    assert.equal(limit.price, 40000);
    assert.ok(limit.id && limit.clientOrderId);
  });
  await step('createOrder market', async () => {
    const o = await ex.createOrder(symbol, 'market', 'buy', 0.01);
    assert.equal(o.status, 'closed');
    assert.equal(o.filled, 0.01);
    assert.ok(o.average > 0 && o.fees.length > 0 && o.trades.length > 0);
  });
  await step('fetchOrder', async () => {
    const o = await ex.fetchOrder(limit.id, symbol);
    assert.equal(o.status, 'open');
    assert.equal(o.clientOrderId, limit.clientOrderId);
  });
  await step('fetchOpenOrders', async () => {
    const all = await ex.fetchOpenOrders(symbol);
    assert.deepEqual(all.map((o) => o.id), [limit.id]);
  });
  await step('cancelOrder', async () => {
    const o = await ex.cancelOrder(limit.id, symbol);
    assert.equal(o.status, 'canceled');
    await assert.rejects(ex.cancelOrder(limit.id, symbol), ccxt.OrderNotFound);
    await assert.rejects(ex.createOrder(symbol, 'limit', 'buy', 1000, 40000), ccxt.InsufficientFunds);
    await assert.rejects(ex.fetchOrder('999999999', symbol), ccxt.OrderNotFound);
  });
  await step('fetchMyTrades', async () => {
    const t = await ex.fetchMyTrades(symbol);
    assert.equal(t.length, 1);
    assert.equal(t[0].amount, 0.01);
    assert.equal(t[0].takerOrMaker, 'taker');
    assert.equal(t[0].fee.currency, 'BTC');
  });
}

async function sockets(ex) {
  const limitBuy = (price) => ex.createOrder(symbol, 'limit', 'buy', 0.01, price);
  let book;
  let balance;
  await step('watchOrderBook snapshot', async () => {
    book = await ex.watchOrderBook(symbol);
    assert.ok(book.bids.length > 0 && book.asks.length > 0);
  });
  await step('watchOrderBook delta', async () => {
    const change = ex.watchOrderBook(symbol);
    const o = await limitBuy(41000);
    for (book = await change; !book.bids.some((l) => l[0] === 41000); ) book = await ex.watchOrderBook(symbol);
    await ex.cancelOrder(o.id, symbol);
    while (book.bids.some((l) => l[0] === 41000)) book = await ex.watchOrderBook(symbol);
  });
  await step('watchTicker', async () => {
    const t = await ex.watchTicker(symbol);
    assert.ok(t.last > 0);
  });
  await step('watchOHLCV', async () => {
    const c = await ex.watchOHLCV(symbol, '1m');
    assert.ok(c.length > 0 && c[0][4] > 0);
  });
  await step('watchBalance', async () => {
    const first = ex.watchBalance();
    await new Promise((done) => setTimeout(done, 300));
    const o = await limitBuy(42000);
    for (balance = await first; !(balance.EUR.used >= 420); ) balance = await ex.watchBalance();
    await ex.cancelOrder(o.id, symbol);
  });
  await step('watchOrders', async () => {
    const seen = {};
    (async () => {
      for (;;) for (const o of await ex.watchOrders(symbol)) (seen[o.id] ??= new Set()).add(o.status);
    })().catch(() => {});
    const o = await limitBuy(42500);
    while (!seen[o.id]?.has('open')) await new Promise((done) => setTimeout(done, 10));
    await ex.cancelOrder(o.id, symbol);
    while (!seen[o.id].has('canceled')) await new Promise((done) => setTimeout(done, 10));
  });
  await step('watchTrades', async () => {
    const next = ex.watchTrades(symbol);
    await new Promise((done) => setTimeout(done, 300));
    const o = await ex.createOrder(symbol, 'market', 'sell', 0.01);
    const t = await next;
    assert.equal(o.status, 'closed');
    assert.ok(t[0].price > 0 && t[0].amount > 0 && t[0].side);
  });
  await step('createOrderWs', async () => {
    const o = await ex.createOrderWs(symbol, 'limit', 'buy', 0.01, 43000);
    assert.equal(o.status, 'open');
    assert.ok(o.id);
  });
  await step('cancelAllOrdersWs', async () => {
    await ex.cancelAllOrdersWs(symbol);
    assert.deepEqual(await ex.fetchOpenOrders(symbol), []);
  });
}

(async () => {
  const ex = open();
  await rest(ex);
  await sockets(ex);
  end();
})();

// binance, by tiagosiebler.
'use strict';
const { config, step, end, assert, decimal } = require('./steps.cjs');
const { MainClient, WebsocketClient } = require('binance');

const symbol = 'BTCEUR';
const c = new MainClient({ api_key: config.key, api_secret: config.secret, baseUrl: config.base, disableTimeSync: true, beautifyResponses: false });

(async () => {
  let order;
  await step('getExchangeInfo', async () => {
    const i = await c.getExchangeInfo({ symbol });
    assert.equal(i.symbols[0].symbol, symbol);
    assert.ok(i.symbols[0].filters.length > 3 && i.rateLimits.length > 0);
  });
  await step('getOrderBook', async () => {
    const b = await c.getOrderBook({ symbol, limit: 5 });
    assert.ok(b.lastUpdateId > 0 && decimal(b.bids[0][0]) < decimal(b.asks[0][0]));
  });
  await step('getKlines', async () => assert.equal((await c.getKlines({ symbol, interval: '1m', limit: 1 }))[0].length, 12));
  await step('get24hrChangeStatistics', async () => assert.ok(decimal((await c.get24hrChangeStatistics({ symbol })).lastPrice) > 0));
  await step('getAccountInformation', async () => {
    const a = await c.getAccountInformation();
    assert.ok(a.canTrade && decimal(a.balances.find((b) => b.asset === 'EUR').free) === 100000);
  });
  await step('testNewOrder', async () =>
    assert.deepEqual(await c.testNewOrder({ symbol, side: 'BUY', type: 'LIMIT', timeInForce: 'GTC', quantity: 0.01, price: 40000 }), {}));
  await step('submitNewOrder limit', async () => {
    order = await c.submitNewOrder({ symbol, side: 'BUY', type: 'LIMIT', timeInForce: 'GTC', quantity: 0.01, price: 40000, newOrderRespType: 'FULL' });
    assert.equal(order.status, 'NEW');
    assert.ok(Number.isSafeInteger(order.orderId) && Array.isArray(order.fills));
  });
  await step('submitNewOrder market', async () => {
    const o = await c.submitNewOrder({ symbol, side: 'BUY', type: 'MARKET', quoteOrderQty: 500, newOrderRespType: 'FULL' });
    assert.equal(o.status, 'FILLED');
    assert.ok(o.fills.length > 0 && decimal(o.cummulativeQuoteQty) <= 500 && o.settlement === 'FINAL');
  });
  await step('submitNewOrder stop', async () => {
    const o = await c.submitNewOrder({ symbol, side: 'SELL', type: 'STOP_LOSS_LIMIT', timeInForce: 'GTC', quantity: 0.01, price: 39000, stopPrice: 39500 });
    assert.equal((await c.getOrder({ symbol, orderId: o.orderId })).isWorking, false);
    assert.equal((await c.cancelOrder({ symbol, orderId: o.orderId })).status, 'CANCELED');
  });
  await step('getOrder', async () => {
    assert.equal((await c.getOrder({ symbol, orderId: order.orderId })).status, 'NEW');
    assert.equal((await c.getOrder({ symbol, origClientOrderId: order.clientOrderId })).orderId, order.orderId);
  });
  await step('replaceOrder', async () => {
    const r = await c.replaceOrder({ symbol, cancelReplaceMode: 'STOP_ON_FAILURE', cancelOrderId: order.orderId, side: 'BUY', type: 'LIMIT', timeInForce: 'GTC', quantity: 0.02, price: 40001 });
    assert.equal(r.newOrderResult, 'SUCCESS');
    order = r.newOrderResponse;
  });
  await step('getOpenOrders', async () => assert.deepEqual((await c.getOpenOrders({ symbol })).map((o) => o.orderId), [order.orderId]));
  await step('cancelOrder', async () => assert.equal((await c.cancelOrder({ symbol, orderId: order.orderId })).status, 'CANCELED'));
  await step('submitNewOCO', async () => {
    const o = await c.submitNewOCO({
      symbol, side: 'SELL', quantity: 0.01, price: 60000, stopPrice: 40000, stopLimitPrice: 39900, stopLimitTimeInForce: 'GTC',
    });
    assert.equal(o.orders.length, 2);
    const all = await c.cancelOCO({ symbol, orderListId: o.orderListId });
    assert.equal(all.listOrderStatus, 'ALL_DONE');
  });
  await step('getAllOrders', async () => assert.ok((await c.getAllOrders({ symbol })).length >= 4));
  await step('getAccountTradeList', async () => {
    const t = await c.getAccountTradeList({ symbol });
    assert.ok(t.length > 0 && t[0].isBuyer && decimal(t[0].commission) >= 0);
  });
  await step('errors', async () => {
    await assert.rejects(c.getOrder({ symbol, orderId: 999999999 }), (e) => e.code === -2013);
    await assert.rejects(c.cancelOrder({ symbol, orderId: order.orderId }), (e) => e.code === -2011);
    await assert.rejects(c.getOrderBook({ symbol: 'NOSUCH' }), (e) => e.code === -1121);
  });
  await step('trade stream', async () => {
    const ws = new WebsocketClient({ wsUrl: config.wss });
    const trade = new Promise((done, refuse) => {
      ws.on('message', (m) => (m.e === 'trade' ? done(m) : undefined));
      ws.on('exception', (e) => refuse(new Error(JSON.stringify(e))));
    });
    await ws.subscribe('btceur@trade', 'main');
    await new Promise((done) => setTimeout(done, 300));
    await c.submitNewOrder({ symbol, side: 'SELL', type: 'MARKET', quantity: 0.01 });
    assert.ok(decimal((await trade).p) > 0);
    ws.closeAll(true);
  });
  end();
})();

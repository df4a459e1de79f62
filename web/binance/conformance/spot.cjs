// @binance/spot, the official client: REST, WebSocket API, market streams.
'use strict';
const { config, step, end, assert, decimal } = require('./steps.cjs');
const { Spot } = require('@binance/spot');

const symbol = 'BTCEUR';
const key = config.kind === 'ed25519' ? { apiKey: config.key, privateKey: config.secret } : { apiKey: config.key, apiSecret: config.secret };
const client = new Spot({
  configurationRestAPI: { ...key, basePath: config.base },
  configurationWebsocketAPI: { ...key, wsURL: config.wss + '/ws-api/v3' },
  configurationWebsocketStreams: { wsURL: config.wss },
});

(async () => {
  const rest = client.restAPI;
  let order;
  await step('exchangeInfo', async () => assert.equal((await (await rest.exchangeInfo({ symbol })).data()).symbols[0].symbol, symbol));
  await step('depth', async () => assert.ok(decimal((await (await rest.depth({ symbol, limit: 5 })).data()).bids[0][0]) > 0));
  await step('klines', async () => assert.equal((await (await rest.klines({ symbol, interval: '1m', limit: 1 })).data())[0].length, 12));
  await step('ticker24hr', async () => assert.ok(decimal((await (await rest.ticker24hr({ symbol })).data()).lastPrice) > 0));
  await step('getAccount', async () => assert.ok((await (await rest.getAccount()).data()).balances.some((b) => b.asset === 'EUR')));
  await step('newOrder', async () => {
    order = await (await rest.newOrder({ symbol, side: 'BUY', type: 'LIMIT', timeInForce: 'GTC', quantity: 0.01, price: 40000 })).data();
    assert.equal(order.status, 'NEW');
  });
  await step('getOrder', async () => assert.equal(String((await (await rest.getOrder({ symbol, orderId: order.orderId })).data()).orderId), String(order.orderId)));
  await step('deleteOrder', async () => assert.equal((await (await rest.deleteOrder({ symbol, orderId: order.orderId })).data()).status, 'CANCELED'));
  await step('myTrades', async () => {
    const o = await (await rest.newOrder({ symbol, side: 'BUY', type: 'MARKET', quantity: 0.01 })).data();
    assert.equal(o.status, 'FILLED');
    assert.equal((await (await rest.myTrades({ symbol })).data()).length, 1);
  });
  let socket;
  const events = [];
  await step('WebSocket API', async () => {
    socket = await client.websocketAPI.connect();
    assert.ok((await socket.depth({ symbol, limit: 5 })).data.lastUpdateId > 0);
    if (config.kind === 'ed25519') {
      assert.ok((await socket.sessionLogon())[0].data);
      const r = await socket.userDataStreamSubscribe();
      r.stream.on('message', (e) => events.push(e));
    } else {
      const r = await socket.userDataStreamSubscribeSignature();
      r.stream.on('message', (e) => events.push(e));
    }
  });
  await step('orderPlace, user stream', async () => {
    const o = (await socket.orderPlace({ symbol, side: 'BUY', type: 'LIMIT', timeInForce: 'GTC', quantity: 0.01, price: 40000 })).data;
    assert.equal(o.status, 'NEW');
    assert.equal((await socket.orderCancel({ symbol, orderId: o.orderId })).data.status, 'CANCELED');
    while (!(events.some((e) => e.e === 'executionReport' && e.X === 'CANCELED') && events.some((e) => e.e === 'outboundAccountPosition')))
      await new Promise((done) => setTimeout(done, 20));
    await socket.disconnect();
  });
  await step('market streams', async () => {
    const streams = await client.websocketStreams.connect();
    const book = streams.partialBookDepth({ symbol: 'btceur', levels: '5' });
    const b = await new Promise((done) => book.on('message', done));
    assert.ok(b.bids.length > 0);
    await streams.disconnect();
  });
  end();
})();

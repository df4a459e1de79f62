-- What is asked of an archive, in the words that PostgreSQL and SQLite have in common.
-- scripts/generate makes query/ of it.

-- name: Position :one
SELECT server, height, time FROM archive WHERE id = 1;

-- name: Begin :exec
INSERT INTO archive (id, server, height, time) VALUES (1, @server, 0, 0);

-- name: Advance :exec
UPDATE archive SET height = @height, time = @time WHERE id = 1;

-- name: AddGap :exec
INSERT INTO gaps (first, last) VALUES (@first, @last);

-- name: Gaps :many
SELECT first, last FROM gaps ORDER BY first;

-- name: Assets :many
SELECT id, symbol, decimals, issuer FROM assets ORDER BY id;

-- name: Markets :many
SELECT id, base, quote FROM markets ORDER BY id;

-- name: Banks :many
SELECT id, asset, network, number FROM banks ORDER BY id;

-- name: AccountID :one
SELECT id FROM accounts WHERE address = @address;

-- name: LastAccount :one
SELECT CAST(COALESCE(MAX(id), 0) AS BIGINT) AS id FROM accounts;

-- name: Balance :one
SELECT available, held FROM balances WHERE account = @account AND asset = @asset;

-- name: Balances :many
SELECT b.account, a.address, b.asset, b.available, b.held
FROM balances b JOIN accounts a ON a.id = b.account
WHERE b.available <> 0 OR b.held <> 0;

-- name: OpenOrders :many
SELECT id FROM orders WHERE status <> 0;

-- name: NewestCandle :one
SELECT market, span, start, open, high, low, close, trades, base, quote, taker_base, taker_quote
FROM candles WHERE market = @market AND span = @span ORDER BY start DESC LIMIT 1;

-- name: Orders :many
SELECT * FROM orders
WHERE account = @account AND id < @before AND (market = @market OR @market = 0)
ORDER BY id DESC LIMIT @page;

-- name: OrdersOpen :many
SELECT * FROM orders
WHERE account = @account AND status <> 0 AND id < @before AND (market = @market OR @market = 0)
ORDER BY id DESC LIMIT @page;

-- name: OrdersClosed :many
SELECT * FROM orders
WHERE account = @account AND status = 0 AND id < @before AND (market = @market OR @market = 0)
ORDER BY id DESC LIMIT @page;

-- name: FillsBought :many
SELECT * FROM fills
WHERE buyer = @account AND trade < @before AND (market = @market OR @market = 0)
    AND (maker = @order_id OR taker = @order_id OR @order_id = 0)
ORDER BY trade DESC LIMIT @page;

-- name: FillsSold :many
SELECT * FROM fills
WHERE seller = @account AND trade < @before AND (market = @market OR @market = 0)
    AND (maker = @order_id OR taker = @order_id OR @order_id = 0)
ORDER BY trade DESC LIMIT @page;

-- name: TradesBefore :many
SELECT * FROM fills WHERE market = @market AND trade < @before ORDER BY trade DESC LIMIT @page;

-- name: TradesAfter :many
SELECT * FROM fills WHERE market = @market AND trade > @after ORDER BY trade LIMIT @page;

-- name: CandlesFirst :many
SELECT * FROM candles
WHERE market = @market AND span = @span AND start >= @from_start AND start < @to_start
ORDER BY start LIMIT @page;

-- name: CandlesLast :many
SELECT * FROM candles
WHERE market = @market AND span = @span AND start >= @from_start AND start < @to_start
ORDER BY start DESC LIMIT @page;

-- name: BalanceHistory :many
SELECT height, asset, time, available, held FROM balance_history
WHERE account = @account AND (asset = @asset OR @asset = 0)
    AND height <= @height AND (height < @height OR asset < @place)
ORDER BY height DESC, asset DESC LIMIT @page;

-- name: Deposits :many
SELECT height, place, time, asset, amount FROM events
WHERE account = @account AND kind = @kind
    AND height <= @height AND (height < @height OR place < @place)
ORDER BY height DESC, place DESC LIMIT @page;

-- name: Withdrawals :many
SELECT * FROM withdrawals WHERE account = @account AND id < @before ORDER BY id DESC LIMIT @page;

-- name: Commands :many
SELECT * FROM commands
WHERE account = @account
    AND height <= @height AND (height < @height OR place < @place)
ORDER BY height DESC, place DESC LIMIT @page;

-- Candles.

-- name: NewestCandle :one
SELECT market, span, start, open, high, low, close, trades, base, quote, taker_base, taker_quote
FROM candles WHERE market = @market AND span = @span ORDER BY start DESC LIMIT 1;

-- name: CandlesFirst :many
SELECT * FROM candles
WHERE market = @market AND span = @span AND start >= @from_start AND start < @to_start
ORDER BY start LIMIT @page;

-- name: CandlesLast :many
SELECT * FROM candles
WHERE market = @market AND span = @span AND start >= @from_start AND start < @to_start
ORDER BY start DESC LIMIT @page;

-- Fills: trades, and both sides of them.

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

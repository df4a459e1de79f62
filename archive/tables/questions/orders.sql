-- Orders.

-- name: OpenOrders :many
SELECT id FROM orders WHERE status <> 0;

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

-- name: Sibling :one
SELECT sibling FROM orders WHERE id = @id;

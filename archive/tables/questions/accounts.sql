-- Accounts, and what they have and had.

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

-- name: BalanceHistory :many
SELECT height, asset, time, available, held FROM balance_history
WHERE account = @account AND (asset = @asset OR @asset = 0)
    AND height <= @height AND (height < @height OR asset < @place)
ORDER BY height DESC, asset DESC LIMIT @page;

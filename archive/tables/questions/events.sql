-- What else happened to an account.

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

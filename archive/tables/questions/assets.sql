-- What has a name or a number.

-- name: Assets :many
SELECT id, symbol, decimals, issuer FROM assets ORDER BY id;

-- name: Markets :many
SELECT id, base, quote FROM markets ORDER BY id;

-- name: Banks :many
SELECT id, asset, network, number FROM banks ORDER BY id;

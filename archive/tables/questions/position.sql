-- Where an archive stands, and what it lacks.

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

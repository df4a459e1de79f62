-- The tables of an archive, as PostgreSQL reads them; migrate.go says what SQLite reads
-- instead. All amounts are ledger units, all times ms since the Unix epoch. Numbers of
-- kinds, states and codes are those of the ledger. Zero stands for none. There are no
-- foreign keys: what a gap has swallowed may be referred to.

-- +goose Up

CREATE TABLE archive (
    id BIGINT PRIMARY KEY,
    server BYTEA NOT NULL,
    height BIGINT NOT NULL,
    time BIGINT NOT NULL
);

CREATE TABLE gaps (
    first BIGINT PRIMARY KEY,
    last BIGINT NOT NULL
);

CREATE TABLE assets (
    id BIGINT PRIMARY KEY,
    symbol TEXT NOT NULL,
    decimals BIGINT NOT NULL,
    issuer TEXT NOT NULL
);

CREATE TABLE markets (
    id BIGINT PRIMARY KEY,
    base BIGINT NOT NULL,
    quote BIGINT NOT NULL
);

CREATE TABLE accounts (
    id BIGINT PRIMARY KEY,
    address TEXT NOT NULL UNIQUE
);

CREATE TABLE orders (
    id BIGINT PRIMARY KEY,
    account BIGINT NOT NULL,
    market BIGINT NOT NULL,
    side BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    tif BIGINT NOT NULL,
    post_only BIGINT NOT NULL,
    status BIGINT NOT NULL,
    reason BIGINT NOT NULL,
    price BIGINT NOT NULL,
    quantity BIGINT NOT NULL,
    quote BIGINT NOT NULL,
    trigger_price BIGINT NOT NULL,
    expiry BIGINT NOT NULL,
    client TEXT NOT NULL,
    sibling BIGINT NOT NULL,
    placed BIGINT NOT NULL,
    time BIGINT NOT NULL,
    filled BIGINT NOT NULL,
    value BIGINT NOT NULL,
    fee BIGINT NOT NULL,
    hold BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    updated BIGINT NOT NULL
);
CREATE INDEX orders_by_account ON orders (account, id);
CREATE INDEX orders_open ON orders (account, id) WHERE status <> 0;

CREATE TABLE fills (
    trade BIGINT PRIMARY KEY,
    market BIGINT NOT NULL,
    height BIGINT NOT NULL,
    time BIGINT NOT NULL,
    price BIGINT NOT NULL,
    quantity BIGINT NOT NULL,
    buyer BIGINT NOT NULL,
    seller BIGINT NOT NULL,
    maker BIGINT NOT NULL,
    taker BIGINT NOT NULL,
    taking BIGINT NOT NULL,
    inner_cross BIGINT NOT NULL,
    paid BIGINT NOT NULL,
    got BIGINT NOT NULL,
    buyer_fee BIGINT NOT NULL,
    seller_fee BIGINT NOT NULL
);
CREATE INDEX fills_by_market ON fills (market, trade);
CREATE INDEX fills_by_buyer ON fills (buyer, trade);
CREATE INDEX fills_by_seller ON fills (seller, trade);

CREATE TABLE candles (
    market BIGINT NOT NULL,
    span BIGINT NOT NULL,
    start BIGINT NOT NULL,
    open BIGINT NOT NULL,
    high BIGINT NOT NULL,
    low BIGINT NOT NULL,
    close BIGINT NOT NULL,
    trades BIGINT NOT NULL,
    base NUMERIC(40, 0) NOT NULL,
    quote NUMERIC(40, 0) NOT NULL,
    taker_base NUMERIC(40, 0) NOT NULL,
    taker_quote NUMERIC(40, 0) NOT NULL,
    PRIMARY KEY (market, span, start)
) /* WITHOUT ROWID */;

CREATE TABLE balances (
    account BIGINT NOT NULL,
    asset BIGINT NOT NULL,
    available BIGINT NOT NULL,
    held BIGINT NOT NULL,
    PRIMARY KEY (account, asset)
) /* WITHOUT ROWID */;

CREATE TABLE balance_history (
    account BIGINT NOT NULL,
    height BIGINT NOT NULL,
    asset BIGINT NOT NULL,
    time BIGINT NOT NULL,
    available BIGINT NOT NULL,
    held BIGINT NOT NULL,
    PRIMARY KEY (account, height, asset)
) /* WITHOUT ROWID */;

CREATE TABLE events (
    height BIGINT NOT NULL,
    place BIGINT NOT NULL,
    time BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    account BIGINT NOT NULL,
    other BIGINT NOT NULL,
    asset BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    number BIGINT NOT NULL,
    memo TEXT NOT NULL,
    action BYTEA NOT NULL,
    PRIMARY KEY (height, place)
) /* WITHOUT ROWID */;
CREATE INDEX events_by_account ON events (account, kind, height, place);

CREATE TABLE withdrawals (
    id BIGINT PRIMARY KEY,
    account BIGINT NOT NULL,
    asset BIGINT NOT NULL,
    state BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    height BIGINT NOT NULL,
    time BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    updated BIGINT NOT NULL
);
CREATE INDEX withdrawals_by_account ON withdrawals (account, id);

CREATE TABLE commands (
    height BIGINT NOT NULL,
    place BIGINT NOT NULL,
    time BIGINT NOT NULL,
    id BYTEA NOT NULL,
    account BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    code BIGINT NOT NULL,
    number BIGINT NOT NULL,
    filled BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    fee BIGINT NOT NULL,
    status BIGINT NOT NULL,
    PRIMARY KEY (height, place)
) /* WITHOUT ROWID */;
CREATE INDEX commands_by_account ON commands (account, height, place);

CREATE TABLE banks (
    id BIGINT PRIMARY KEY,
    asset BIGINT NOT NULL,
    network TEXT NOT NULL,
    number BIGINT NOT NULL
);

CREATE TABLE wallets (
    bank BIGINT NOT NULL,
    wallet BIGINT NOT NULL,
    total BIGINT NOT NULL,
    PRIMARY KEY (bank, wallet)
) /* WITHOUT ROWID */;

-- +goose Down

DROP TABLE wallets;
DROP TABLE banks;
DROP TABLE commands;
DROP TABLE withdrawals;
DROP TABLE events;
DROP TABLE balance_history;
DROP TABLE balances;
DROP TABLE candles;
DROP TABLE fills;
DROP TABLE orders;
DROP TABLE accounts;
DROP TABLE markets;
DROP TABLE assets;
DROP TABLE gaps;
DROP TABLE archive;

-- The shop's tables, and what is in them on the first day.
PRAGMA journal_mode = WAL;

BEGIN;

CREATE TABLE accounts (
    id            INTEGER PRIMARY KEY,
    email         TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    plan          TEXT NOT NULL,
    country       TEXT NOT NULL
);

CREATE TABLE products (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,
    category    TEXT NOT NULL,
    price_cents INTEGER NOT NULL,
    stock       INTEGER NOT NULL CHECK (stock >= 0)
);

CREATE TABLE coupons (
    code    TEXT PRIMARY KEY,
    percent INTEGER NOT NULL
);

CREATE TABLE cart_items (
    account_id INTEGER NOT NULL REFERENCES accounts,
    product_id INTEGER NOT NULL REFERENCES products,
    quantity   INTEGER NOT NULL,
    PRIMARY KEY (account_id, product_id)
);

CREATE TABLE cart_coupons (
    account_id INTEGER NOT NULL REFERENCES accounts,
    code       TEXT NOT NULL REFERENCES coupons,
    PRIMARY KEY (account_id, code)
);

CREATE TABLE orders (
    id          INTEGER PRIMARY KEY,
    account_id  INTEGER NOT NULL REFERENCES accounts,
    total_cents INTEGER NOT NULL,
    status      TEXT NOT NULL DEFAULT 'pending'
);

CREATE TABLE order_items (
    order_id   INTEGER NOT NULL REFERENCES orders,
    product_id INTEGER NOT NULL REFERENCES products,
    quantity   INTEGER NOT NULL
);

CREATE TABLE movements (
    id         INTEGER PRIMARY KEY,
    product_id INTEGER NOT NULL REFERENCES products,
    day        TEXT NOT NULL DEFAULT CURRENT_DATE,
    quantity   INTEGER NOT NULL,
    reason     TEXT NOT NULL
);

INSERT INTO coupons VALUES ('SPRING', 10), ('WELCOME', 5);

INSERT INTO products (name, category, price_cents, stock) VALUES
    ('Assam tea',          'tea',      690,  400),
    ('Darjeeling tea',     'tea',      890,  400),
    ('Earl Grey tea',      'tea',      740,  400),
    ('Genmaicha tea',      'tea',      950,  300),
    ('Jasmine tea',        'tea',      820,  300),
    ('Lapsang tea',        'tea',     1090,  200),
    ('Mint tea',           'tea',      540,  500),
    ('Oolong tea',         'tea',     1290,  200),
    ('Rooibos tea',        'tea',      590,  500),
    ('Sencha tea',         'tea',      990,  300),
    ('Brazil coffee',      'coffee',   980,  400),
    ('Colombia coffee',    'coffee',  1080,  400),
    ('Decaf coffee',       'coffee',  1020,  200),
    ('Ethiopia coffee',    'coffee',  1280,  300),
    ('House coffee',       'coffee',   780,  600),
    ('Kenya coffee',       'coffee',  1380,  200),
    ('Sumatra coffee',     'coffee',  1180,  200),
    ('Burr grinder',       'tools',   8900,   40),
    ('French press',       'tools',   3400,   80),
    ('Gooseneck kettle',   'tools',   6900,   60),
    ('Kitchen scale',      'tools',   2900,   90),
    ('Milk frother',       'tools',   1900,   90),
    ('Moka pot',           'tools',   3200,   70),
    ('Paper filters',      'tools',    490,  900),
    ('Pour-over cone',     'tools',   1700,  120),
    ('Tea strainer',       'tools',    790,  250),
    ('Espresso cup',       'cups',     850,  300),
    ('Glass tumbler',      'cups',     950,  300),
    ('Stoneware mug',      'cups',    1450,  250),
    ('Travel mug',         'cups',    2450,    5);

-- A year of sales, so that the report has something to stream.
WITH RECURSIVE days (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM days WHERE n < 364)
INSERT INTO movements (product_id, day, quantity, reason)
SELECT products.id, date('2026-01-01', '-' || n || ' days'), -1 - (products.id * n) % 7, 'sale'
FROM days, products;

COMMIT;

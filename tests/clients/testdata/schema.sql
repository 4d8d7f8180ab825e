CREATE STREAM auth (ts TIMESTAMPTZ NOT NULL, username TEXT, src_ip INET, bytes BIGINT, detail JSONB, WATERMARK FOR ts AS ts) FORMAT JSON;
CREATE CONTINUOUS QUERY busy AS SELECT username, count(*) AS n FROM auth GROUP BY username, TUMBLE(ts, INTERVAL '1 minute');
CREATE IOC LIST bad TYPE ip;
CREATE FUNCTION odd(n BIGINT) RETURNS BOOLEAN LANGUAGE javascript AS $$ return n % 2n === 1n $$;
CREATE TABLE assets (ip INET PRIMARY KEY, owner TEXT DEFAULT 'it', weight DOUBLE PRECISION, seen TIMESTAMPTZ, tags TEXT[], info JSONB, price NUMERIC(10,2), day DATE, active BOOLEAN, rank INTEGER, id UUID, raw BYTEA, gap INTERVAL, small SMALLINT, code VARCHAR(8), at TIMESTAMP);
INSERT INTO assets (ip, owner, weight, seen, tags, info, price, day, active, rank, id, raw, gap, small, code, at) VALUES ('10.0.0.1','ann',1.5,'2026-01-01 00:00:00Z','{a,"b c",NULL}','{"k":[1,2]}',12.50,'2026-01-02',true,7,'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11','\x00ff','1 day 02:00:00',3,'abc','2026-01-01 10:11:12.5');
INSERT INTO assets (ip) VALUES ('10.0.0.2');
INSERT INTO auth VALUES ('2026-01-01 00:00:00Z','ann','10.0.0.1',10,'{"a":1}'),('2026-01-01 00:00:30Z','ann','10.0.0.2',NULL,NULL),('2026-01-01 00:01:00Z','bob','10.0.0.1',30,'[]'),('2026-01-01 00:02:00Z','cid',NULL,40,NULL);
CREATE VIEW loud AS SELECT username, bytes FROM auth WHERE bytes > 20;

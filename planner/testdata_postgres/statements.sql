SELECT nosuch FROM auth
SELECT usernme FROM auth
SELECT a.usernme FROM auth a
SELECT auth.nosuch FROM auth
SELECT x.username FROM auth
SELECT auth.username FROM auth a
SELECT host FROM auth, hosts
SELECT hosst FROM auth, hosts
SELECT * FROM nosuch
SELECT * FROM public.nosuch
SELECT nosuch(1)
SELECT lower(1)
SELECT nosuch(1, 'a', username) FROM auth
SELECT 'a' + 1
SELECT username + 1 FROM auth
SELECT username = 1 FROM auth
SELECT src_ip = 5 FROM auth
SELECT src_ip = username FROM auth
SELECT src_ip = 'abc' FROM auth
SELECT bytes = 'x' FROM auth
SELECT 'x'::int
SELECT ts > 'yesterdax' FROM auth
SELECT src_ip::int FROM auth
SELECT 1 FROM auth WHERE bytes
SELECT 1 FROM auth WHERE username AND true
SELECT 1 FROM auth WHERE NOT bytes
SELECT 1 FROM auth WHERE 'x'
SELECT 1 FROM auth a JOIN hosts h ON a.port
SELECT 1 FROM auth GROUP BY action HAVING 5
SELECT username FROM auth GROUP BY action
SELECT username, count(*) FROM auth
SELECT a.username, count(*) FROM auth a GROUP BY a.action
SELECT count(*) FROM auth WHERE count(*) > 1
SELECT count(count(*)) FROM auth
SELECT sum(username) FROM auth
SELECT action FROM auth GROUP BY count(*)
SELECT 1 FROM auth GROUP BY 2
SELECT 1 FROM auth ORDER BY 3
SELECT 1 FROM auth ORDER BY 'x'
SELECT DISTINCT action FROM auth ORDER BY bytes
SELECT DISTINCT ON (action) action, bytes FROM auth ORDER BY bytes
SELECT 1 UNION SELECT 'x'
SELECT 1 UNION SELECT src_ip FROM auth
SELECT 1, 2 UNION SELECT 3
SELECT CASE WHEN true THEN 1 ELSE username END FROM auth
SELECT CASE WHEN 1 THEN 2 END
SELECT coalesce(1, username) FROM auth
SELECT ARRAY[1, 'a']
SELECT ARRAY[]
SELECT username LIKE 5 FROM auth
SELECT bytes LIKE 'a' FROM auth
SELECT bytes NOT ILIKE 'a' FROM auth
SELECT username LIKE 'a' ESCAPE 'ab' FROM auth
SELECT bytes IN ('a', 'b') FROM auth
SELECT bytes IN (1, username) FROM auth
SELECT bytes = ANY(5) FROM auth
SELECT bytes = ANY(tags) FROM auth
SELECT (SELECT 1, 2)
SELECT (SELECT a.nosuch) FROM auth a
SELECT 1 IN (SELECT 1, 2)
SELECT bytes IN (SELECT username FROM auth) FROM auth
SELECT * FROM auth a JOIN hosts h USING (nosuch)
SELECT * FROM auth a JOIN hosts h USING (username)
SELECT * FROM auth a, auth a
SELECT * FROM auth, auth
SELECT * FROM (SELECT username FROM auth) s (a, b)
SELECT * FROM auth LIMIT 'x'
SELECT * FROM auth LIMIT true
SELECT 1::nosuchtype
SELECT raw = raw FROM auth
SELECT detail || 1 FROM auth
SELECT - username FROM auth
SELECT username[1] FROM auth
SELECT tags['x'] FROM auth
SELECT *
SELECT nosuch.* FROM auth
SELECT * FROM auth a, (SELECT a.username) s
SELECT min(raw) FROM auth
SELECT count() FROM auth
SELECT lower(*) FROM auth
SELECT lower(DISTINCT username) FROM auth
SELECT generate_series(1, 2) FROM auth WHERE generate_series(1, 2) > 1
SELECT 99999999999999999999::int
SELECT (1, 2) = (1, 2, 3)
SELECT extract(epoch FROM username) FROM auth
SELECT ts + 1 FROM auth
SELECT ts + '1 hour' FROM auth
SELECT ts - ts, ts - interval '1 hour', day + 1, day - day, day + interval '1 h' FROM auth
SELECT 7 / 2, 7 / 2.0, 7 / 2::float8, 1 + 1::bigint, 1::smallint + 1, 2 ^ 3, 7 % 2 FROM auth
SELECT 'a' || 'b', 'a' || 1, 1 || 'a', username || bytes, tags || 'x', tags || tags, tags || '{a}' FROM auth
SELECT 1, 'a', true, NULL, 1.5, 99999999999, -2147483648, interval '1 day', 'x'::text, '1'::int, 1::bigint, 'a'::varchar(3)
SELECT username, auth.username, lower(username), count(*), max(bytes) AS m, (SELECT 1), (SELECT 2 AS two), ARRAY[1], CASE WHEN true THEN 1 END, CASE WHEN true THEN 1 ELSE bytes END, coalesce(username, 'x'), nullif(username, 'a'), greatest(1, 2.5), bytes::text, now(), current_user, EXISTS (SELECT 1) FROM auth GROUP BY username, bytes
SELECT count(*), count(DISTINCT username), sum(port), sum(bytes), sum(price), sum(score), sum(small), avg(port), avg(score), avg(bytes), min(ts), max(src_ip), bool_and(flag), array_agg(username), string_agg(username, ',') FROM auth
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY score), percentile_cont(0.5) WITHIN GROUP (ORDER BY port DESC) AS p, percentile_cont(ARRAY[0.25, 0.5]) WITHIN GROUP (ORDER BY price), percentile_cont(1) WITHIN GROUP (ORDER BY ts - ts), percentile_cont('{0.5}'::float8[]) WITHIN GROUP (ORDER BY ts - ts) FROM auth
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY username), percentile_disc(ARRAY[0.5]) WITHIN GROUP (ORDER BY ts), percentile_disc(0.5) WITHIN GROUP (ORDER BY code), mode() WITHIN GROUP (ORDER BY src_ip), mode() WITHIN GROUP (ORDER BY tags) FROM auth
SELECT corr(bytes, port), covar_pop(score, score), covar_samp(price, small), regr_avgx(1, 2), regr_avgy(1, '2'), regr_count(port, port), regr_intercept(port, port), regr_r2(port, port), regr_slope(port, port), regr_sxx(port, port), regr_sxy(port, port), regr_syy(port, port) FROM auth
SELECT bit_and(small), bit_or(port), bit_xor(bytes), bool_or(flag), every(flag) FROM auth
SELECT json_agg(ts), jsonb_agg(username), json_object_agg(host, port), jsonb_object_agg(port, tags), jsonb_agg(detail), json_agg(raw) FROM auth
SELECT json_agg(DISTINCT port), jsonb_agg(DISTINCT host), jsonb_object_agg(DISTINCT host, port) FROM auth
SELECT percentile_cont(0.5) FROM auth
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY username) FROM auth
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY raw) FROM auth
SELECT percentile_disc(flag) WITHIN GROUP (ORDER BY port) FROM auth GROUP BY flag
SELECT percentile_disc(score) WITHIN GROUP (ORDER BY port) FROM auth
SELECT percentile_disc(score) WITHIN GROUP (ORDER BY port) FROM auth GROUP BY score
SELECT percentile_cont(0.5, 0.6) WITHIN GROUP (ORDER BY port) FROM auth
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY port, bytes) FROM auth
SELECT mode(1) WITHIN GROUP (ORDER BY port) FROM auth
SELECT mode() FROM auth
SELECT sum(port) WITHIN GROUP (ORDER BY port) FROM auth
SELECT upper(host) WITHIN GROUP (ORDER BY port) FROM auth
SELECT percentile_cont(DISTINCT 0.5) WITHIN GROUP (ORDER BY port) FROM auth
SELECT percentile_cont(0.5 ORDER BY port) WITHIN GROUP (ORDER BY port) FROM auth
SELECT percentile_cont(max(score)) WITHIN GROUP (ORDER BY port) FROM auth
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY max(port)) FROM auth
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY score) FILTER (WHERE flag) FROM auth
SELECT corr(username, host) FROM auth
SELECT corr(score) FROM auth
SELECT bit_and(score) FROM auth
SELECT bit_xor(price) FROM auth
SELECT json_agg(DISTINCT raw) FROM auth
SELECT count(DISTINCT raw) FROM auth
SELECT json_object_agg(host) FROM auth
SELECT jsonb_agg() FROM auth
SELECT any_value(port) FROM auth
SELECT jsonb_agg(port ORDER BY ts DESC) FROM auth
SELECT username FROM auth WHERE percentile_cont(0.5) WITHIN GROUP (ORDER BY port) > 1
SELECT host, percentile_cont(0.5) WITHIN GROUP (ORDER BY port) FROM auth GROUP BY host HAVING mode() WITHIN GROUP (ORDER BY port) > 3
SELECT sum(flag) FROM auth
SELECT avg(ts) FROM auth
SELECT stddev(flag) FROM auth
SELECT string_agg(port, ',') FROM auth
SELECT string_agg(username) FROM auth
SELECT max(flag) FROM auth
SELECT min(detail) FROM auth
SELECT count(port, bytes) FROM auth
SELECT var_pop(small), var_samp(port), variance(bytes), stddev_pop(price), stddev_samp(score), sum(ts - ts), avg(ts - ts), max(tags), min(code), max(day) FROM auth
SELECT bytes > 5, bytes > 5.5, port = bytes, score > price, ts > day, code = username, small = score FROM auth
SELECT detail->'a', detail->>'a', detail#>>'{a,b}', detail->0, raw->>'a', detail ? 'a', detail @> '{"a":1}' FROM auth
SELECT src_ip << '10.0.0.0/8', src_ip = '1.2.3.4', host(src_ip), src_ip::text, masklen(src_ip) FROM auth
SELECT date_trunc('hour', ts), date_trunc('day', day), extract(epoch FROM ts), date_part('hour', ts), to_char(ts, 'HH24'), ts AT TIME ZONE 'UTC', age(ts) FROM auth
SELECT round(score), round(price, 2), round(5.5), abs(port), ceil(score), floor(price), sqrt(4), power(2, 3), mod(port, 2), log(10), trunc(1.5) FROM auth
SELECT substring(username, 1, 2), substr(username, 2), left(username, 1), replace(username, 'a', 'b'), split_part(username, '.', 1), length(username), position('a' IN username), trim(username), upper(host), md5(host), concat(username, 1, NULL), format('%s', 1), repeat('a', 3) FROM auth
SELECT * FROM generate_series(1, 3)
SELECT * FROM generate_series(1, 3) g
SELECT * FROM generate_series(1, 3) AS g(x)
SELECT * FROM unnest(ARRAY['a', 'b']) WITH ORDINALITY AS t(v, n)
SELECT * FROM generate_series('2024-01-01'::timestamptz, '2024-01-02', '1 hour')
SELECT a.username, u FROM auth a, unnest(a.tags) u
SELECT a.username, u.x FROM auth a CROSS JOIN LATERAL unnest(a.tags) AS u(x)
SELECT unnest(tags), username FROM auth
SELECT generate_series(1, 3) AS n, upper(unnest(tags)) FROM auth
SELECT * FROM auth JOIN hosts USING (host)
SELECT host, port FROM auth JOIN hosts USING (host, port)
SELECT * FROM (SELECT 1 AS a, 'x' AS b) s NATURAL JOIN (SELECT 1 AS a, 2 AS c) t
SELECT s.a, t.a, a FROM (SELECT 1 AS a) s FULL JOIN (SELECT 2::bigint AS a) t USING (a)
SELECT * FROM (VALUES (1, 'a'), (2, NULL)) v
SELECT * FROM (VALUES (1, 'a'), (2.5, NULL)) v (n, t)
VALUES (1, 'x'), (2, 'y') ORDER BY 1
SELECT 1 AS a UNION ALL SELECT 2.5 ORDER BY a
SELECT NULL AS a UNION SELECT 1
SELECT NULL AS a UNION SELECT NULL UNION SELECT 1
WITH w AS (SELECT username, bytes FROM auth), v (a) AS (SELECT username FROM w) SELECT * FROM v, w
SELECT (SELECT count(*) FROM hosts h WHERE h.host = a.host) FROM auth a
SELECT username FROM auth a WHERE EXISTS (SELECT 1 FROM hosts h WHERE h.host = a.host AND h.port > a.port)
SELECT a.host, (SELECT max(h.port) FROM hosts h WHERE h.host = a.host) FROM auth a GROUP BY a.host
SELECT a.host, (SELECT max(h.port) FROM hosts h WHERE h.port = a.port) FROM auth a GROUP BY a.host
SELECT ARRAY(SELECT username FROM auth)
SELECT tags[1], (ARRAY[1, 2])[1] FROM auth
SELECT action AS a, count(*) FROM auth GROUP BY a ORDER BY 2 DESC, a
SELECT lower(action), count(*) FROM auth GROUP BY 1 HAVING count(*) > 1 ORDER BY lower(action)
SELECT action FROM auth ORDER BY bytes DESC NULLS LAST LIMIT 5 OFFSET 2
SELECT bytes BETWEEN 1 AND 2.5, username BETWEEN 'a' AND 'b', flag IS TRUE, flag IS NOT UNKNOWN, bytes IS NULL, bytes IS DISTINCT FROM 5 FROM auth
SELECT 'abc' ~ 'a', username ~* 'x', username !~ ANY(ARRAY['a', 'b']), username LIKE ANY(ARRAY['a%']) FROM auth
SELECT 'x'::regclass
SELECT 'auth'::regclass::oid, 5::oid = 6, 'auth'::regclass = 5 FROM auth
SELECT '{1,2}'::int[], '{a}'::text[] = tags, 'a' = ANY(tags), port = ANY('{1,2}') FROM auth
SELECT text(5), int4('7'), float8(1), date('2024-01-01')
SELECT current_date, current_timestamp, session_user, current_database(), current_schema, version()
SELECT count(*) FILTER (WHERE bytes > 1), count(*) FILTER (WHERE bytes) FROM auth
SELECT username FROM auth WHERE (username, host) IN (('a', 'b'), ('c', 'd'))
SELECT a.* FROM auth a LEFT JOIN hosts h ON a.host = h.host AND h.port > 5 WHERE h.owner IS NULL
SELECT TRUE = 1
SELECT NULL = NULL, NULL AND true, NULL || 'x', NULL + 1
SELECT 'a' < 'b', 'a' IN ('a'), '1' + '2'
SELECT $1
SELECT least(1, 'x')
SELECT score % 2 FROM auth
SELECT port & 1, port | 2, port # 3, ~port, port << 1 FROM auth
SELECT @ port, |/ 4 FROM auth
SELECT xmin, ctid FROM hosts
SELECT auth FROM auth
SELECT username COLLATE "C" FROM auth
SELECT username COLLATE "nosuch" FROM auth
SELECT bytes COLLATE "C" FROM auth
SELECT 1 WHERE 1
SELECT bytes::boolean FROM auth
SELECT port::boolean, flag::int FROM auth
SELECT '1.2.3.4'::inet - '1.2.3.1', src_ip + 1 FROM auth
SELECT jsonb_typeof(detail), jsonb_array_length(detail), to_jsonb(5), json_build_object('a', 1) FROM auth
SELECT string_to_array(username, ','), array_to_string(tags, ','), array_length(tags, 1), cardinality(tags), array_append(tags, 'x'), array_position(tags, 'x') FROM auth

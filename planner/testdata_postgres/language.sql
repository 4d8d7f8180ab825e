WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n+1 FROM t WHERE n < 5) SELECT n, n*n AS sq FROM t
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM t) SELECT n FROM t LIMIT 7
WITH RECURSIVE t(n) AS (SELECT 1 UNION SELECT (n+1)%4 FROM t) SELECT n FROM t
WITH RECURSIVE e(a,b) AS (VALUES (1,2),(2,3),(3,1),(3,4)), r(x, path) AS (SELECT 1, ARRAY[1] UNION ALL SELECT e.b, path || e.b FROM e JOIN r ON e.a = r.x WHERE NOT e.b = ANY(path)) SELECT * FROM r ORDER BY path
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n+1 FROM t WHERE n<3), u AS (SELECT sum(n) s FROM t) SELECT * FROM t, u
WITH RECURSIVE u AS (SELECT sum(n) s FROM t), t AS (SELECT 1 AS n UNION ALL SELECT n+1 FROM t WHERE n<3) SELECT * FROM t, u
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n+1 FROM u), u AS (SELECT * FROM t) SELECT * FROM t
WITH RECURSIVE t AS (SELECT n FROM t) SELECT * FROM t
WITH RECURSIVE t AS (SELECT n+1 FROM t UNION ALL SELECT 1) SELECT * FROM t
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT a.n+1 FROM t a, t b) SELECT * FROM t
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT 1 WHERE EXISTS (SELECT 1 FROM t)) SELECT * FROM t
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT t.n FROM (VALUES (1)) v(x) LEFT JOIN t ON t.n = v.x) SELECT * FROM t
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT t.n FROM t RIGHT JOIN (VALUES (1)) v(x) ON t.n = v.x) SELECT * FROM t
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL (SELECT 1 EXCEPT SELECT n FROM t)) SELECT * FROM t
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT sum(n) FROM t) SELECT * FROM t
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n+1.5 FROM t) SELECT * FROM t
WITH RECURSIVE t AS (SELECT 'a' AS n UNION ALL SELECT n||'b' FROM t WHERE length(n)<4) SELECT * FROM t
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n+1 FROM t ORDER BY 1) SELECT * FROM t
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n+1 FROM t LIMIT 3) SELECT * FROM t
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n, 2 FROM t) SELECT * FROM t
WITH RECURSIVE t(a,b) AS (SELECT 1 AS n UNION ALL SELECT n+1 FROM t) SELECT * FROM t
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n+1 FROM t WHERE n < 4) SELECT a.n, b.n FROM t a JOIN t b ON a.n = b.n + 1 ORDER BY 1
WITH r AS (SELECT random() AS x) SELECT a.x = b.x AS same FROM r a, r b
WITH r AS MATERIALIZED (SELECT 1 AS x) SELECT * FROM r
WITH r AS NOT MATERIALIZED (SELECT 1 AS x) SELECT * FROM r a, r b
WITH a AS (SELECT nope) SELECT 1
WITH a AS (SELECT 1 x), b AS (SELECT x+1 y FROM a), c AS (SELECT * FROM a, b) SELECT * FROM c, b
SELECT x, (WITH RECURSIVE t(n) AS (SELECT x UNION ALL SELECT n-1 FROM t WHERE n > 0) SELECT sum(n) FROM t) AS s FROM generate_series(1,4) x
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT l.m FROM t, LATERAL (SELECT t.n + 1 AS m) l WHERE l.m < 5) SELECT * FROM t
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT m FROM (SELECT n+1 AS m FROM t) s WHERE m < 5) SELECT * FROM t
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL (WITH u AS (SELECT n+1 AS m FROM t) SELECT m FROM u WHERE m < 5)) SELECT * FROM t
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT DISTINCT n+1 FROM t, generate_series(1,3) WHERE n < 4) SELECT * FROM t
WITH RECURSIVE x(id) AS (VALUES (1) UNION ALL SELECT id+1 FROM x WHERE id < 3), y(id) AS (VALUES (1) UNION ALL SELECT id+1 FROM x WHERE id < 10) SELECT y.*, x.* FROM y LEFT JOIN x USING (id) ORDER BY 1
WITH RECURSIVE t(i,j) AS (VALUES (1,2) UNION ALL SELECT t2.i, t.j+1 FROM (SELECT 2 AS i UNION ALL SELECT 3 AS i) AS t2 JOIN t ON (t2.i = t.i+1)) SELECT * FROM t
WITH RECURSIVE q AS (SELECT 1 AS a UNION ALL (WITH RECURSIVE x AS (SELECT a FROM q UNION ALL SELECT a+10 FROM x WHERE a < 20) SELECT a+100 FROM x WHERE a < 100)) SELECT * FROM q ORDER BY 1 LIMIT 5
WITH t AS (SELECT 1 a), t AS (SELECT 2) SELECT * FROM t
WITH RECURSIVE fib(a,b) AS (SELECT 0::bigint, 1::bigint UNION ALL SELECT b, a+b FROM fib WHERE b < 1000) SELECT array_agg(a) FROM fib
SELECT * FROM (WITH RECURSIVE t(n) AS (SELECT 1 UNION SELECT n+1 FROM t WHERE n<3) SELECT * FROM t) x, (WITH w AS (SELECT 5 z) SELECT * FROM w a, w b) y(p,q)
WITH w(a,b) AS (SELECT 1) SELECT * FROM w
WITH RECURSIVE t(n) AS (SELECT 1::smallint UNION ALL SELECT n+1 FROM t WHERE n<3) SELECT * FROM t
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM t WHERE n<3), u(n) AS (SELECT n FROM t UNION SELECT n+10 FROM u WHERE n < 20) SELECT count(*), sum(n) FROM u
SELECT ROW(1,2)
SELECT (1,'a',NULL,''), ROW('x y', 'q"r', 'back\slash', 'a,b', '(p)')
SELECT t FROM (VALUES (1,'x'),(2,NULL)) t(a,b)
SELECT row_to_json(t) FROM (VALUES (1,'x'),(2,NULL)) t(a,b)
SELECT to_jsonb(t), json_agg(t) FROM (VALUES (1,'x'),(2,NULL)) t(a,b) GROUP BY t
SELECT count(t), count(t.*) FROM (VALUES (1,'x'),(NULL,NULL)) t(a,b)
SELECT t IS NULL, t IS NOT NULL FROM (VALUES (1,'x'),(NULL,NULL),(1,NULL)) t(a,b)
SELECT ROW(1,NULL) IS NULL, ROW(NULL,NULL) IS NULL, ROW(1,2) IS NOT NULL, ROW(1,NULL) IS NOT NULL
SELECT x, y FROM (VALUES (1),(2)) v(x) LEFT JOIN (VALUES (2,'a')) y(p,q) ON y.p = v.x ORDER BY 1
SELECT count(y), count(v) FROM (VALUES (1),(2)) v(x) LEFT JOIN (VALUES (2,'a')) y(p,q) ON y.p = v.x
SELECT row_to_json(y) FROM (VALUES (1),(2)) v(x) FULL JOIN (VALUES (2,'a'),(3,'b')) y(p,q) ON y.p = v.x ORDER BY v.x, y.p
SELECT ROW(1,2) = ROW(1,2), ROW(1,NULL) = ROW(1,NULL), ROW(1,NULL) = ROW(2,NULL), ROW(1,2) <> ROW(1,3)
SELECT ROW(1,2) < ROW(1,3), ROW(1,NULL) < ROW(2,NULL), ROW(1,NULL) < ROW(1,2), (2,1) >= (1,9), (1,2) <= (1,2)
SELECT (1,2) IN ((1,2),(3,4)), (1,NULL) IN ((1,2)), (5,6) NOT IN ((1,2),(5,6))
SELECT (1,2) IN (SELECT 1, 2 UNION SELECT 3, 4), (1,3) IN (SELECT 1,2), (1,NULL) IN (SELECT 1,2), (2,NULL) IN (SELECT 1,2), (1,2) NOT IN (SELECT 1,NULL::int)
SELECT (1,2) IN (SELECT 1)
SELECT (1,2) IN (SELECT 1,2,3)
SELECT 1 IN (SELECT 1,2)
SELECT (1,2) = (SELECT 1,2), (1,2) < (SELECT 1,3), (1,2) = (SELECT 1,2 WHERE false)
SELECT (1,2) = (SELECT x, x+1 FROM generate_series(1,2) x)
SELECT (ROW(1,'a')).f1, (ROW(1,'a')).f2
SELECT (t).a, (t).b FROM (VALUES (1,'x')) t(a,b)
SELECT (t).* FROM (VALUES (1,'x')) t(a,b)
SELECT (t).c FROM (VALUES (1,'x')) t(a,b)
SELECT (s.r).a FROM (SELECT t AS r FROM (VALUES (1,'x')) t(a,b)) s
SELECT (s.r).*, 5 FROM (SELECT t AS r FROM (VALUES (1,'x')) t(a,b)) s
SELECT (1).x
SELECT ROW(t.*, 3) FROM (VALUES (1,'x')) t(a,b)
SELECT ROW(t, 3) FROM (VALUES (1,'x')) t(a,b)
SELECT t FROM (VALUES (2,'x'),(1,'z'),(1,'y'),(NULL,'a')) t(a,b) ORDER BY t
SELECT t FROM (VALUES (2,'x'),(1,'z'),(1,'y')) t(a,b) ORDER BY t DESC LIMIT 1
SELECT DISTINCT t FROM (VALUES (1,'x'),(1,'x'),(1,'y')) t(a,b) ORDER BY 1
SELECT a.r = b.r FROM (SELECT ROW(1,NULL) r) a, (SELECT ROW(1,NULL) r) b
SELECT a.r < b.r FROM (SELECT ROW(1,NULL) r) a, (SELECT ROW(1,5) r) b
SELECT ROW(1,2) IS DISTINCT FROM ROW(1,NULL), ROW(1,NULL) IS NOT DISTINCT FROM ROW(1,NULL)
SELECT (ARRAY[1,2,3,4])[2:3], (ARRAY[1,2,3,4])[:2], (ARRAY[1,2,3,4])[3:], (ARRAY[1,2])[5:6], (ARRAY[1,2])[2:1], (ARRAY[1,2])[NULL:1]
SELECT ARRAY[ROW(1,'a'), ROW(2,'b c')]
SELECT array_agg(t) FROM (VALUES (1,'x'),(2,'y')) t(a,b)
SELECT (array_agg(t))[1] FROM (VALUES (1,'x'),(2,'y')) t(a,b)
SELECT json_agg(t) FROM (SELECT 1 AS a, now() IS NULL AS b) t
SELECT ROW(1, ROW(2,'x'))
SELECT row_to_json(ROW(1, ROW(2,'x'), ARRAY[1,2]))
SELECT t::text FROM (VALUES (1,'x y')) t(a,b)
SELECT ROW()
SELECT ROW(1,2) = ROW(1,2,3)
SELECT ROW(1,2) = 3
SELECT CASE WHEN true THEN ROW(1,2) ELSE ROW(3,4) END
SELECT coalesce(NULL, ROW(1,2))
SELECT x FROM generate_series(1,2) x
SELECT g FROM generate_series(1,2) g(n)
SELECT e FROM json_each('{"a":1,"b":2}') e
SELECT (json_each('{"a":1,"b":2}')).*
SELECT json_each('{"a":1,"b":2}')
SELECT (json_each('{"a":1,"b":2}')).key
SELECT information_schema._pg_expandarray(ARRAY[5,6]), (information_schema._pg_expandarray(ARRAY[5,6])).n
SELECT (s.k).x, (s.k).n FROM (SELECT information_schema._pg_expandarray(ARRAY[7,8]) AS k) s WHERE (s.k).n = 2
SELECT (pg_options_to_table(ARRAY['a=1','b=2'])).*
SELECT generate_series(1,3), generate_series(1,2)
SELECT generate_series(1,3) + generate_series(10,11), 'k'
SELECT generate_series(1, generate_series(1,3))
SELECT generate_series(1, generate_series(1,2)), generate_series(5,6)
SELECT CASE WHEN true THEN generate_series(1,2) END
SELECT coalesce(generate_series(1,2), 0)
SELECT sum(generate_series(1,2))
SELECT x FROM generate_series(1,3) x WHERE generate_series(1,2) = 1
SELECT generate_series(1,3) g, count(*) FROM (VALUES (1),(2)) v(x) GROUP BY g ORDER BY g
SELECT x FROM (VALUES (1),(2)) v(x) GROUP BY x, generate_series(1,2) ORDER BY 1
SELECT x FROM (VALUES (1),(2)) v(x) ORDER BY generate_series(1,2) DESC, x
SELECT generate_series(1,2) AS a, 'x' AS b ORDER BY a DESC
SELECT DISTINCT generate_series(1,3) % 2 AS m ORDER BY 1
SELECT unnest(ARRAY[1,2]), unnest(ARRAY['a','b','c'])
SELECT unnest(ARRAY[1,2]) LIMIT 1
SELECT * FROM unnest(ARRAY[1,2], ARRAY['a','b','c']) AS t(a,b)
SELECT * FROM unnest(ARRAY[1,2], ARRAY['a','b','c']) WITH ORDINALITY AS t(a,b,n)
SELECT unnest(ARRAY[ROW(1,'a')])
SELECT count(*), generate_series(1,count(*)) FROM (VALUES (1),(2)) v(x)
SELECT generate_series(1,3) LIMIT 2 OFFSET 1
SELECT x, generate_series(1,x) FROM (VALUES (1),(0),(2)) v(x)
SELECT (t.a, t.b) IN (SELECT 1, 'x') FROM (VALUES (1,'x'),(2,'y')) t(a,b)
SELECT * FROM (VALUES (1,'x'),(2,'y')) t(a,b) WHERE (a,b) > (1,'x')
SELECT t.* IS NULL FROM (VALUES (NULL)) t(a)
SELECT t FROM (VALUES (1)) t(t)
SELECT nope FROM (VALUES (1)) t(t)
SELECT t.x FROM (VALUES (1)) t(t)
SELECT max(t) FROM (VALUES (1,2)) t(a,b)
SELECT (SELECT t FROM (VALUES (1,2)) t(a,b))
SELECT EXISTS (SELECT u FROM (VALUES (1)) u(x) WHERE t IS NOT NULL) FROM (VALUES (1,2)) t(a,b)
SELECT t FROM (VALUES (1,2)) t(a,b) UNION SELECT ROW(1,2) UNION ALL SELECT ROW(3,4) ORDER BY 1
SELECT (SELECT row_to_json(d) FROM (SELECT t.a AS k, t.b AS v) d) FROM (VALUES (1,2)) t(a,b)
SELECT json_build_object('t', t, 'l', ARRAY[t]) FROM (VALUES (1,2)) t(a,b)
SELECT * FROM ROWS FROM (generate_series(1,3), unnest(ARRAY['a','b'])) AS t(n, s)
SELECT * FROM ROWS FROM (generate_series(1,3), json_each('{"a":1}')) WITH ORDINALITY
SELECT * FROM ROWS FROM (generate_series(1,2)) x
SELECT * FROM ROWS FROM (upper('a'), generate_series(1,2))
SELECT * FROM ROWS FROM (json_to_record('{"a":1}') AS (a int, c text), generate_series(1,2)) AS t
SELECT * FROM upper('a') WITH ORDINALITY
SELECT * FROM upper('a') u(v)
SELECT * FROM json_to_record('{"a":1,"b":[1,2],"c":"x","d":{"k":1},"e":null}') AS x(a int, b int[], c text, d jsonb, e text, z text)
SELECT * FROM jsonb_to_recordset('[{"a":1,"b":"x"},{"a":"2","c":true}]') AS x(a int, b text, c bool)
SELECT * FROM json_to_recordset('[{"a":1,"b":"x"},{"b":{"k": [1, 2]}}]') x(a numeric, b text) ORDER BY a
SELECT * FROM jsonb_to_record('[1]') AS x(a int)
SELECT * FROM jsonb_to_recordset('{"a":1}') AS x(a int)
SELECT * FROM jsonb_to_recordset('[1]') AS x(a int)
SELECT * FROM jsonb_to_record('{"a":"x"}') AS x(a int)
SELECT * FROM jsonb_to_record('{"a":1}')
SELECT jsonb_to_record('{"a":1}')
SELECT * FROM generate_series(1,2) AS x(a int)
SELECT * FROM json_each('{"a":1}') AS x(a int, b int)
SELECT * FROM unnest(ARRAY[1,2], ARRAY['a','b','c']) WITH ORDINALITY AS t(a,b,n)
SELECT * FROM generate_series(1,3) WITH ORDINALITY AS t(v, i) WHERE i > 1
SELECT * FROM generate_series(1.0, 2.0, 0.5) x
SELECT * FROM generate_series('2024-01-01'::timestamp, '2024-01-02', '12 hours') x
SELECT * FROM generate_series('2024-01-01 00:00+00'::timestamptz, '2024-01-02', interval '1 day') x
SELECT * FROM regexp_matches('foobarbequebaz', '(b[^b]+)(b[^b]+)', 'g')
SELECT regexp_matches('abc', 'x')
SELECT * FROM regexp_split_to_table('a1b22c', '\d+') WITH ORDINALITY
SELECT regexp_split_to_table('abc', '')
SELECT regexp_split_to_table('the quick', '\s*')
SELECT * FROM string_to_table('a,,b', ',', '')
SELECT * FROM generate_subscripts(ARRAY[4,5,6], 1) s
SELECT * FROM jsonb_object_keys('{"b":1,"a":2}')
SELECT * FROM jsonb_each_text('{"b":1,"a":null}')
SELECT v.x, g FROM (VALUES (1),(2)) v(x), generate_series(1, v.x) g
SELECT v.x, g FROM (VALUES (1),(2)) v(x) LEFT JOIN LATERAL generate_series(2, v.x) g ON true
SELECT v.x, g FROM (VALUES (1),(2)) v(x) CROSS JOIN LATERAL (SELECT v.x * 10 AS g) s
SELECT v.x, g.* FROM (VALUES (1),(2)) v(x) LEFT JOIN LATERAL (SELECT v.x AS y WHERE v.x > 1) g ON g.y = v.x
SELECT * FROM (VALUES (1),(2)) v(x) RIGHT JOIN LATERAL (SELECT v.x) s ON true
SELECT * FROM (VALUES (1),(2)) v(x) FULL JOIN LATERAL (SELECT 5 AS q) s ON true
SELECT * FROM (VALUES (1),(2)) v(x) RIGHT JOIN generate_series(1, 2+1) s ON s = x ORDER BY s
SELECT * FROM (VALUES (1),(2)) v(x) FULL JOIN generate_series(2, abs(-3)) s ON s = x ORDER BY 1, 2
SELECT * FROM (VALUES (1),(2)) v(x), LATERAL ROWS FROM (generate_series(1, x), unnest(ARRAY[x, x])) r(a, b)
SELECT * FROM (VALUES (1,2),(3,4)) a(x,y), LATERAL (VALUES (a.x),(a.y)) b(z), LATERAL (SELECT b.z + a.x AS w) c
SELECT * FROM generate_series(1, (SELECT 3)) x
SELECT (SELECT count(*) FROM generate_series(1, v.x)) FROM (VALUES (1),(3)) v(x)
SELECT * FROM (VALUES (1)) v(x), generate_series(1, (SELECT max(y) + v.x FROM (VALUES (1),(2)) w(y))) g
SELECT x, (SELECT 1) FROM (VALUES (1)) v(x)
SELECT (SELECT x FROM generate_series(1,2) x)
SELECT (SELECT x FROM generate_series(1,2) x WHERE false)
SELECT (SELECT 1, 2)
SELECT ARRAY(SELECT x FROM generate_series(1,3) x ORDER BY x DESC), ARRAY(SELECT 1 WHERE false)
SELECT ARRAY(SELECT 1, 2)
SELECT 1 IN (SELECT NULL), 1 NOT IN (SELECT NULL), 1 IN (SELECT 1 UNION ALL SELECT NULL), 1 NOT IN (SELECT 2 UNION ALL SELECT NULL::int), NULL IN (SELECT 1 WHERE false), 1 NOT IN (SELECT 1 WHERE false)
SELECT 2 > ANY (SELECT 1 UNION SELECT 3), 2 > ALL (SELECT 1 UNION SELECT 3), 2 > ALL (SELECT 1 WHERE false), 2 > ANY (SELECT 1 WHERE false), 2 = SOME (SELECT 2), 2 <> ALL (SELECT 1)
SELECT 2 > ANY (SELECT NULL::int), 2 > ALL (SELECT NULL::int UNION SELECT 1)
SELECT 'a' LIKE ANY (SELECT 'A%' UNION SELECT 'a%')
SELECT x FROM (VALUES (1),(2),(3)) v(x) WHERE x IN (SELECT y FROM (VALUES (2),(3)) w(y) WHERE y >= v.x) ORDER BY 1
SELECT x FROM (VALUES (1),(2),(3)) v(x) WHERE EXISTS (SELECT FROM (VALUES (2),(3)) w(y) WHERE y = v.x) ORDER BY 1
SELECT x, sum(x) FROM (VALUES (1),(2),(3)) v(x) GROUP BY x HAVING sum(x) > (SELECT avg(y) FROM (VALUES (1),(2)) w(y)) ORDER BY (SELECT -x)
SELECT x FROM (VALUES (1),(2),(3)) v(x) ORDER BY (SELECT y FROM (VALUES (1,3),(2,1),(3,2)) w(k,y) WHERE k = x)
SELECT x FROM (VALUES (1),(2),(3)) v(x) ORDER BY 1 LIMIT (SELECT 2) OFFSET (SELECT count(*) - 1 FROM (VALUES (1),(2)) q)
SELECT v.x, w.y FROM (VALUES (1),(2)) v(x) JOIN (VALUES (1),(2)) w(y) ON v.x = (SELECT w.y) AND EXISTS (SELECT 1 WHERE w.y > 1)
SELECT sum((SELECT y FROM (VALUES (1,10),(2,20)) w(k,y) WHERE k = v.x)) FROM (VALUES (1),(2)) v(x)
SELECT CASE WHEN (SELECT true) THEN (SELECT 1) ELSE (SELECT 1/0) END
SELECT (SELECT sum(v.x)) FROM (VALUES (1),(2)) v(x)
SELECT (SELECT sum(v.x + w.y) FROM (VALUES (1),(2)) w(y)) FROM (VALUES (1),(2)) v(x)
SELECT (SELECT count(*) FROM (VALUES (1),(2)) w(y) WHERE w.y = max(v.x)) FROM (VALUES (1),(2)) v(x)
SELECT x % 2 AS m, (SELECT x % 2) FROM (VALUES (1),(2),(3)) v(x) GROUP BY x % 2
SELECT x, (SELECT y FROM (VALUES (5)) w(y) WHERE x = 1) FROM (VALUES (1),(2)) v(x) GROUP BY x ORDER BY 1
SELECT (SELECT (SELECT v.x + w.y FROM (VALUES (100)) u(z)) FROM (VALUES (10)) w(y)) FROM (VALUES (1),(2)) v(x)
SELECT (SELECT x UNION SELECT x ORDER BY 1) FROM (VALUES (1),(2)) v(x)
SELECT x FROM (VALUES (1),(2)) v(x) WHERE x = (SELECT 1 UNION ALL SELECT 2)
SELECT x FROM (VALUES (1),(2)) v(x) WHERE x = (SELECT max(y) FROM (SELECT v.x AS y INTERSECT SELECT 2) q)
SELECT * FROM (SELECT 1 AS a, 2 AS b) x NATURAL JOIN (SELECT 1 AS a, 3 AS c) y
SELECT * FROM (SELECT 1 AS a, 2 AS b) x FULL JOIN (SELECT 2 AS a, 3 AS c) y USING (a) ORDER BY a
SELECT * FROM (SELECT 1 AS a) x JOIN (SELECT 1 AS a) y USING (a) JOIN (SELECT 1 AS a, 5 AS d) z USING (a)
SELECT a FROM (SELECT 1 AS a) x JOIN (SELECT 1 AS a) y ON true
SELECT * FROM (SELECT 1 AS a) x JOIN (SELECT 1 AS a) y USING (b)
SELECT * FROM ((SELECT 1 AS a) x CROSS JOIN (SELECT 2 AS b) y) AS j
SELECT j.a FROM ((SELECT 1 AS a) x CROSS JOIN (SELECT 2 AS b) y) AS j(a, c)
SELECT x.a FROM ((SELECT 1 AS a) x CROSS JOIN (SELECT 2 AS b) y) AS j
SELECT j.a, x.b FROM (SELECT 1 AS a, 2 AS b) x JOIN (SELECT 1 AS a) y USING (a) AS j
SELECT * FROM (VALUES (1),(2)) a(x) FULL JOIN (VALUES (2),(3)) b(y) ON a.x = b.y AND a.x > 5 ORDER BY 1, 2
SELECT * FROM (VALUES (1)) a(x) LEFT JOIN ((VALUES (1)) b(y) JOIN (VALUES (1,2)) c(y,z) USING (y)) ON a.x = b.y
SELECT * FROM (VALUES (1)) a(x), a b
SELECT b.x FROM (VALUES (1)) a(x), (SELECT a.x) b
SELECT x FROM (VALUES (1)) a(x), LATERAL (SELECT x + 1 AS y) b WHERE y = 2
SELECT count(*) FROM (SELECT 1 LIMIT 0) s
SELECT (SELECT 1 LIMIT 1), EXISTS(SELECT 1 LIMIT 0), NOT EXISTS (SELECT 1 WHERE false)
SELECT x, EXISTS (SELECT 1 FROM generate_series(1,3) g WHERE g = x), x IN (SELECT g FROM generate_series(1,2) g) FROM (VALUES (1),(4),(NULL)) v(x)
SELECT 1 = ANY (SELECT 1, 2)
SELECT 1 < ANY (SELECT 'a')
SELECT 'a' = ANY (SELECT 1)
SELECT (SELECT 'a') || 'b', (SELECT 1) + 1, (SELECT NULL) IS NULL
SELECT EXISTS (SELECT 1/0)
SELECT x FROM (VALUES (1)) v(x) WHERE (SELECT x > 0)
SELECT x FROM (VALUES (1)) v(x) WHERE (SELECT 1)
SELECT y.* FROM (SELECT 1 a) x, LATERAL (SELECT x.a + n AS b FROM generate_series(1,2) n) y ORDER BY 1 DESC
SELECT * FROM generate_series(1,2) a JOIN LATERAL generate_series(a, 2) b ON b > a
SELECT unnest(ARRAY(SELECT generate_series(1,3)))
SELECT * FROM unnest(ARRAY[ROW(1,'a')])
SELECT * FROM unnest((SELECT array_agg(x) FROM generate_series(1,3) x)) u
SELECT v.x FROM (VALUES (1),(2)) v(x) GROUP BY v.x HAVING EXISTS (SELECT 1 FROM (VALUES (1),(2)) w(y) WHERE w.y = max(v.x) AND w.y > 1)
SELECT (SELECT max(v.x) + min(w.y) FROM (VALUES (10),(20)) w(y)) FROM (VALUES (1),(2)) v(x)
SELECT (SELECT (SELECT sum(v.x) + max(w.y)) FROM (VALUES (10),(20)) w(y)) FROM (VALUES (1),(2)) v(x)
SELECT v.x, (SELECT count(v.x) FILTER (WHERE v.x > 1)) FROM (VALUES (1),(2)) v(x) GROUP BY v.x ORDER BY 1
SELECT x FROM (VALUES (1),(2)) v(x) WHERE (SELECT sum(v.x)) > 1
SELECT sum((SELECT sum(v.x))) FROM (VALUES (1),(2)) v(x)
SELECT (SELECT count(*)) FROM (VALUES (1),(2)) v(x)
SELECT x FROM (VALUES (1),(2)) v(x) ORDER BY (SELECT max(v.x))
SELECT * FROM ((VALUES (1)) a(x) LEFT JOIN (VALUES (2)) b(y) ON false) AS j(p, q)
SELECT j FROM ((VALUES (1)) a(x) LEFT JOIN (VALUES (2)) b(y) ON false) AS j(p, q)
SELECT EXISTS (SELECT generate_series(1,0)), EXISTS (SELECT sum(x) FROM (VALUES (1)) v(x) WHERE false)
SELECT 'a' IN (SELECT 'a'), (SELECT ARRAY[1,2])[1]
SELECT r FROM (SELECT (1, 'x')::text AS r) q
SELECT (SELECT ROW(1,2)) = ROW(1,2)
SELECT x.* FROM (SELECT 1 AS a, 2 AS b) x WHERE (x.a, x.b) = (1, 2)
SELECT (x).a + 1 AS s FROM (SELECT 1 AS a, 2 AS b) x

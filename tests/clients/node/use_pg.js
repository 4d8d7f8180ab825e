// node-postgres: what people do with it. It prints "ok NAME" or "FAIL NAME: what went wrong", a line a check.
'use strict'
const assert = require('node:assert/strict')
const { pipeline } = require('node:stream/promises')
const { Readable, Writable } = require('node:stream')
const pg = require('pg')
const Cursor = require('pg-cursor')
const QueryStream = require('pg-query-stream')
const copy = require('pg-copy-streams')

const config = { host: process.env.VIGIL_HOST, port: Number(process.env.VIGIL_PORT), user: 'analyst', database: 'vigil' }

// refused is true when a promise fails with an SQLSTATE.
async function refused (code, promise) {
  await assert.rejects(promise, (e) => { assert.equal(e.code, code, e.message); return true })
}

const checks = {
  async types (c) {
    const { rows, fields } = await c.query('SELECT ip, owner, weight, seen, tags, info, price, day, active, rank, raw, small, code FROM assets WHERE rank = $1', [7])
    assert.deepEqual(rows[0].seen.toISOString(), '2026-01-01T00:00:00.000Z')
    assert.equal(rows[0].day.getFullYear(), 2026)
    delete rows[0].seen
    delete rows[0].day
    assert.deepEqual({ ...rows[0] }, {
      ip: '10.0.0.1', owner: 'ann', weight: 1.5, tags: ['a', 'b c', null], info: { k: [1, 2] }, price: '12.50', active: true, rank: 7,
      raw: Buffer.from([0, 255]), small: 3, code: 'abc'
    })
    assert.deepEqual(fields.map((f) => f.dataTypeID), [869, 25, 701, 1184, 1009, 3802, 1700, 1082, 16, 23, 17, 21, 1043])
  },
  async binary (c) {
    const { rows } = await c.query({ text: 'SELECT rank, seen, owner, active FROM assets WHERE rank = $1', values: [7], binary: true })
    assert.equal(rows[0].rank, 7)
    assert.equal(rows[0].owner, 'ann')
    assert.equal(rows[0].active, true)
  },
  async parameters (c) {
    const at = new Date('2026-01-01T00:00:30Z')
    assert.equal((await c.query('SELECT username FROM auth WHERE ts = $1 AND bytes IS NOT DISTINCT FROM $2', [at, null])).rows[0].username, 'ann')
    assert.equal((await c.query('SELECT count(*)::int AS n FROM auth WHERE username = ANY($1)', [['ann', 'bob']])).rows[0].n, 3)
    assert.deepEqual((await c.query('SELECT $1::jsonb AS j, $2::text[] AS a, $3::bytea AS b', [{ x: [1] }, ['p', null], Buffer.from('q')])).rows[0],
      { j: { x: [1] }, a: ['p', null], b: Buffer.from('q') })
    const array = await c.query({ text: 'SELECT 1, $1::bigint', values: [2], rowMode: 'array' })
    assert.deepEqual(array.rows, [[1, '2']])
    assert.equal(array.command, 'SELECT')
  },
  async many_statements (c) {
    const results = await c.query('SELECT 1 AS a; SELECT 2 AS b; SELECT 3 AS c')
    assert.deepEqual(results.map((r) => r.rows[0]), [{ a: 1 }, { b: 2 }, { c: 3 }])
    const empty = await c.query('')
    assert.equal(empty.rowCount ?? 0, 0)
  },
  async named_statement (c) {
    for (let i = 0; i < 3; i++) {
      const r = await c.query({ name: 'by-name', text: 'SELECT count(*)::int AS n FROM auth WHERE username = $1', values: ['ann'] })
      assert.equal(r.rows[0].n, 2)
    }
  },
  async errors (c) {
    await assert.rejects(c.query('SELECT usernam FROM auth'), (e) => {
      assert.equal(e.code, '42703')
      assert.equal(e.position, '8')
      assert.ok(e instanceof pg.DatabaseError)
      return true
    })
    await refused('42P01', c.query('SELECT 1 FROM nothing WHERE a = $1', [1]))
    await refused('22012', c.query('SELECT 1 / $1::int', [0]))
    await refused('23505', c.query("INSERT INTO assets (ip) VALUES ('10.0.0.1')"))
    await refused('22P02', c.query('SELECT $1::int', ['x']))
    assert.equal((await c.query('SELECT 1 AS one')).rows[0].one, 1)
  },
  async transaction (c) {
    await c.query('BEGIN')
    const r = await c.query('INSERT INTO assets (ip, owner) VALUES ($1, $2)', ['10.1.0.1', 'node'])
    assert.equal(r.rowCount, 1)
    await c.query('COMMIT')
    assert.equal((await c.query("UPDATE assets SET rank = 1 WHERE owner = 'node'")).rowCount, 1)
    assert.equal((await c.query("DELETE FROM assets WHERE owner = 'node'")).rowCount, 1)
    await c.query('BEGIN')
    await refused('22012', c.query('SELECT 1/0'))
    await refused('25P02', c.query('SELECT 1'))
    await c.query('ROLLBACK')
  },
  async rolled_back (c) {
    await c.query('BEGIN')
    await c.query("INSERT INTO assets (ip, owner) VALUES ('10.1.0.2', 'node')")
    await c.query('ROLLBACK')
    assert.equal((await c.query("SELECT count(*)::int AS n FROM assets WHERE owner = 'node'")).rows[0].n, 0)
  },
  async cursor (c) {
    const cur = c.query(new Cursor('SELECT g FROM generate_series(1, $1::int) AS g', [25]))
    const sizes = []
    for (;;) {
      const rows = await cur.read(10)
      sizes.push(rows.length)
      if (rows.length === 0) break
    }
    assert.deepEqual(sizes, [10, 10, 5, 0])
    const half = c.query(new Cursor('SELECT g FROM generate_series(1, 1000000) AS g'))
    assert.equal((await half.read(3)).length, 3)
    await half.close()
    assert.equal((await c.query('SELECT 1 AS one')).rows[0].one, 1)
  },
  async query_stream (c) {
    const got = []
    for await (const row of c.query(new QueryStream('SELECT g FROM generate_series(1, 300) AS g', [], { batchSize: 7 }))) got.push(row.g)
    assert.equal(got.length, 300)
    assert.equal(got[299], 300)
  },
  async copy_streams (c) {
    await pipeline(Readable.from(['10.1.1.1\tx\n10.1.1.2\t\\N\n']), c.query(copy.from('COPY assets (ip, owner) FROM STDIN')))
    let out = ''
    await pipeline(c.query(copy.to("COPY (SELECT host(ip), owner FROM assets WHERE ip <<= '10.1.1.0/24' ORDER BY ip) TO STDOUT WITH (FORMAT csv)")),
      new Writable({ write (chunk, _, done) { out += chunk; done() } }))
    assert.equal(out, '10.1.1.1,x\n10.1.1.2,\n')
    await c.query("DELETE FROM assets WHERE ip <<= '10.1.1.0/24'")
  },
  async notifications (c) {
    const got = new Promise((resolve) => c.once('notification', resolve))
    await c.query('LISTEN nodenews')
    await c.query("SELECT pg_notify('nodenews', 'x')")
    const n = await got
    assert.deepEqual([n.channel, n.payload], ['nodenews', 'x'])
    assert.equal(n.processId, c.processID)
  },
  async pool () {
    const pool = new pg.Pool({ ...config, max: 4 })
    const got = await Promise.all([...Array(20).keys()].map((i) => pool.query('SELECT $1::int * 2 AS n', [i])))
    assert.deepEqual(got.map((r) => r.rows[0].n), [...Array(20).keys()].map((i) => 2 * i))
    await pool.end()
  },
  async timeout () {
    const c = new pg.Client({ ...config, statement_timeout: 100 })
    await c.connect()
    await refused('57014', c.query('SELECT pg_sleep(60)'))
    await c.end()
  },
  async subscription (c) {
    await c.query('BEGIN')
    await c.query('DECLARE alerts CURSOR FOR SUBSCRIBE busy WITH (SNAPSHOT)')
    const { rows } = await c.query('FETCH 2 FROM alerts')
    assert.deepEqual(rows.map((r) => [r.vigil_op, r.username, r.n]), [['+I', 'ann', '2'], ['+I', 'bob', '1']])
    await c.query('COMMIT')
  }
}

async function main () {
  let failed = 0
  for (const [name, fn] of Object.entries(checks)) {
    const c = new pg.Client(config)
    try {
      await c.connect()
      await fn(c)
      console.log(`ok ${name}`)
    } catch (e) {
      failed++
      const at = /use_pg\.js:(\d+)/.exec(e.stack || '')
      console.log(`FAIL ${name}: line ${at ? at[1] : '?'}: ${String(e.message || e).replace(/\s+/g, ' ')}`)
    } finally {
      c.end().catch(() => {})
    }
  }
  process.exit(failed ? 1 : 0)
}

main()

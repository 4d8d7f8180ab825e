import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Array;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.ParameterMetaData;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;

/** pgjdbc: what people and tools do with it. A line a check: "ok NAME" or "FAIL NAME: what went wrong". */
public class Use {
    interface Check {
        void run(Connection c) throws Exception;
    }

    static final String URL = "jdbc:postgresql://" + System.getenv("VIGIL_HOST") + ":" + System.getenv("VIGIL_PORT") + "/vigil?user=analyst";

    static void equal(Object got, Object want) {
        if (!Objects.equals(got, want)) {
            throw new AssertionError("got " + got + ", want " + want);
        }
    }

    interface Action {
        void run() throws SQLException;
    }

    static SQLException refused(String state, Action a) {
        try {
            a.run();
        } catch (SQLException e) {
            if (!state.equals(e.getSQLState())) {
                throw new AssertionError("SQLSTATE " + e.getSQLState() + ", want " + state + ": " + e.getMessage());
            }
            return e;
        }
        throw new AssertionError("no error, want SQLSTATE " + state);
    }

    /** Rows as text: the columns of a result, or all. */
    static List<String> rows(ResultSet r, String... columns) throws SQLException {
        List<String> out = new ArrayList<>();
        while (r.next()) {
            List<String> row = new ArrayList<>();
            for (String c : columns) {
                row.add(r.getString(c));
            }
            for (int i = 1; columns.length == 0 && i <= r.getMetaData().getColumnCount(); i++) {
                row.add(r.getString(i));
            }
            out.add(String.join("|", row.stream().map(String::valueOf).toList()));
        }
        r.close();
        return out;
    }

    static List<String> query(Connection c, String sql) throws SQLException {
        try (Statement s = c.createStatement()) {
            return rows(s.executeQuery(sql));
        }
    }

    static final Map<String, Check> CHECKS = new LinkedHashMap<>();

    static void metadata() {
        CHECKS.put("catalogs_and_schemas", c -> {
            DatabaseMetaData m = c.getMetaData();
            equal(rows(m.getCatalogs()), List.of("vigil"));
            List<String> schemas = rows(m.getSchemas(), "TABLE_SCHEM");
            equal(schemas.containsAll(List.of("information_schema", "pg_catalog", "public")), true);
            equal(rows(m.getSchemas(null, "pub%"), "TABLE_SCHEM"), List.of("public"));
            equal(m.getDatabaseProductName(), "PostgreSQL");
            equal(m.getDatabaseMajorVersion(), 15);
            equal(c.getCatalog(), "vigil");
            equal(c.getSchema(), "public");
        });
        CHECKS.put("tables", c -> {
            DatabaseMetaData m = c.getMetaData();
            equal(rows(m.getTables(null, "public", "%", new String[] {"TABLE"}), "TABLE_NAME", "TABLE_TYPE"),
                List.of("assets|TABLE", "auth|TABLE", "bad|TABLE"));
            equal(rows(m.getTables("vigil", "public", "b%", null), "TABLE_NAME", "TABLE_TYPE").contains("busy|MATERIALIZED VIEW"), true);
            equal(rows(m.getTables(null, "public", "busy", new String[] {"VIEW", "MATERIALIZED VIEW"}), "TABLE_NAME"), List.of("busy"));
            equal(rows(m.getTables(null, "public", "%", new String[] {"VIEW"}), "TABLE_NAME"), List.of("loud"));
            equal(rows(m.getTables(null, "pg_catalog", "pg_class", null), "TABLE_TYPE"), List.of("SYSTEM TABLE"));
            equal(rows(m.getTableTypes()).containsAll(List.of("TABLE", "VIEW", "MATERIALIZED VIEW", "SYSTEM TABLE")), true);
        });
        CHECKS.put("columns", c -> {
            DatabaseMetaData m = c.getMetaData();
            equal(rows(m.getColumns(null, "public", "auth", "%"), "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME", "IS_NULLABLE", "ORDINAL_POSITION"),
                List.of("ts|93|timestamptz|NO|1", "username|12|text|YES|2", "src_ip|1111|inet|YES|3", "bytes|-5|int8|YES|4", "detail|1111|jsonb|YES|5"));
            equal(rows(m.getColumns("vigil", "public", "assets", "price"), "COLUMN_NAME", "DATA_TYPE", "COLUMN_SIZE", "DECIMAL_DIGITS"),
                List.of("price|2|10|2"));
            equal(rows(m.getColumns(null, "public", "assets", "owner"), "COLUMN_DEF"), List.of("'it'::text"));
            equal(rows(m.getColumns(null, "public", "assets", "code"), "COLUMN_SIZE"), List.of("8"));
            equal(rows(m.getColumns(null, "public", "assets", "tags"), "TYPE_NAME", "DATA_TYPE"), List.of("_text|2003"));
            equal(rows(m.getColumns(null, null, "busy", null), "COLUMN_NAME"), List.of("window_start", "window_end", "username", "n"));
        });
        CHECKS.put("keys_and_indexes", c -> {
            DatabaseMetaData m = c.getMetaData();
            equal(rows(m.getPrimaryKeys(null, "public", "assets"), "COLUMN_NAME", "KEY_SEQ", "PK_NAME"), List.of("ip|1|assets_pkey"));
            equal(rows(m.getPrimaryKeys(null, "public", "auth")), List.of());
            equal(rows(m.getIndexInfo(null, "public", "assets", false, true), "INDEX_NAME", "NON_UNIQUE", "COLUMN_NAME", "TYPE"),
                List.of("assets_pkey|f|ip|3"));
            equal(rows(m.getImportedKeys(null, "public", "assets")), List.of());
            equal(rows(m.getExportedKeys(null, "public", "assets")), List.of());
            equal(rows(m.getCrossReference(null, "public", "assets", null, "public", "auth")), List.of());
            equal(rows(m.getBestRowIdentifier(null, "public", "assets", DatabaseMetaData.bestRowSession, false), "COLUMN_NAME"), List.of("ip"));
            equal(rows(m.getVersionColumns(null, "public", "assets"), "COLUMN_NAME"), List.of("ctid"));
        });
        CHECKS.put("types_and_functions", c -> {
            DatabaseMetaData m = c.getMetaData();
            List<String> types = rows(m.getTypeInfo(), "TYPE_NAME");
            equal(types.containsAll(List.of("int4", "text", "timestamptz", "inet", "jsonb", "numeric")), true);
            equal(rows(m.getFunctions(null, "public", "od%"), "FUNCTION_NAME"), List.of("odd"));
            equal(rows(m.getFunctionColumns(null, "public", "odd", null), "COLUMN_NAME", "TYPE_NAME"), List.of("returnValue|bool", "n|int8"));
            equal(rows(m.getProcedures(null, "public", "%")), List.of());
            equal(rows(m.getProcedureColumns(null, "public", "nothing", null)), List.of());
            equal(rows(m.getUDTs(null, "public", "nothing", null)), List.of());
            equal(m.getSQLKeywords().contains("ilike"), true);
            equal(m.getMaxColumnNameLength(), 63);
            equal(m.getDefaultTransactionIsolation(), Connection.TRANSACTION_READ_COMMITTED);
            equal(m.supportsTransactions(), true);
            equal(m.getNumericFunctions().isEmpty(), false);
            equal(rows(m.getClientInfoProperties(), "NAME"), List.of("ApplicationName"));
        });
        CHECKS.put("privileges", c -> {
            DatabaseMetaData m = c.getMetaData();
            equal(rows(m.getTablePrivileges(null, "public", "assets"), "PRIVILEGE").contains("SELECT"), true);
            equal(rows(m.getColumnPrivileges(null, "public", "assets", "owner"), "PRIVILEGE").contains("SELECT"), true);
        });
        CHECKS.put("result_metadata", c -> {
            try (PreparedStatement p = c.prepareStatement("SELECT owner AS who, price, rank + 1 FROM assets WHERE ip = ?::inet AND seen > ?")) {
                ResultSetMetaData m = p.getMetaData();
                equal(List.of(m.getColumnName(1), m.getColumnTypeName(1), m.getPrecision(2), m.getScale(2), m.getColumnTypeName(3)),
                    List.of("who", "text", 10, 2, "int4"));
                equal(m.getTableName(1), "assets");
                equal(((org.postgresql.PGResultSetMetaData) m).getBaseColumnName(1), "owner");
                equal(m.isNullable(1), ResultSetMetaData.columnNullable);
                equal(m.isAutoIncrement(1), false);
                ParameterMetaData q = p.getParameterMetaData();
                equal(List.of(q.getParameterCount(), q.getParameterTypeName(2)), List.of(2, "timestamptz"));
            }
        });
    }

    static void queries() {
        CHECKS.put("parameters_text_and_binary", c -> {
            c.unwrap(PGConnection.class).setPrepareThreshold(-1); // binary from the first execution on
            both(c);
            try (Connection d = DriverManager.getConnection(URL + "&binaryTransfer=false&prepareThreshold=0")) {
                both(d);
            }
            try (Connection d = DriverManager.getConnection(URL + "&preferQueryMode=simple")) {
                both(d);
            }
        });
        CHECKS.put("fetch_size", c -> {
            c.setAutoCommit(false);
            try (PreparedStatement p = c.prepareStatement("SELECT g FROM generate_series(1, ?) AS g")) {
                p.setInt(1, 1234);
                p.setFetchSize(100);
                int n = 0;
                try (ResultSet r = p.executeQuery()) {
                    while (r.next()) {
                        equal(r.getInt(1), ++n);
                    }
                }
                equal(n, 1234);
            }
            c.commit();
        });
        CHECKS.put("batches", c -> {
            try (PreparedStatement p = c.prepareStatement("INSERT INTO assets (ip, owner, rank) VALUES (?::inet, ?, ?)")) {
                for (int i = 0; i < 40; i++) {
                    p.setString(1, "10.11.0." + i);
                    p.setString(2, "batch");
                    p.setInt(3, i);
                    p.addBatch();
                }
                for (int n : p.executeBatch()) {
                    equal(n, 1);
                }
            }
            try (Statement s = c.createStatement()) {
                s.addBatch("UPDATE assets SET rank = 0 WHERE owner = 'batch'");
                s.addBatch("DELETE FROM assets WHERE owner = 'batch'");
                int[] n = s.executeBatch();
                equal(List.of(n[0], n[1]), List.of(40, 40));
            }
            try (Connection d = DriverManager.getConnection(URL + "&reWriteBatchedInserts=true");
                PreparedStatement p = d.prepareStatement("INSERT INTO assets (ip, owner) VALUES (?::inet, ?)")) {
                for (int i = 0; i < 20; i++) {
                    p.setString(1, "10.12.0." + i);
                    p.setString(2, "batch");
                    p.addBatch();
                }
                p.executeBatch();
                equal(d.createStatement().executeUpdate("DELETE FROM assets WHERE owner = 'batch'"), 20);
            }
        });
        CHECKS.put("errors", c -> {
            SQLException e = refused("42703", () -> query(c, "SELECT usernam FROM auth"));
            equal(((org.postgresql.util.PSQLException) e).getServerErrorMessage().getPosition(), 8);
            refused("42P01", () -> query(c, "SELECT 1 FROM nothing"));
            refused("22012", () -> query(c, "SELECT 1 / 0"));
            refused("23505", () -> c.createStatement().executeUpdate("INSERT INTO assets (ip) VALUES ('10.0.0.1')"));
            equal(query(c, "SELECT 1"), List.of("1"));
        });
        CHECKS.put("stale_statement", c -> {
            try (Statement s = c.createStatement(); PreparedStatement p = prepared(c)) {
                s.execute("DROP TABLE moved");
                s.execute("CREATE TABLE moved (a INTEGER PRIMARY KEY, b TEXT, c TEXT)");
                s.execute("INSERT INTO moved VALUES (1, 'x', 'y')");
                equal(rows(p.executeQuery()), List.of("1|x|y"));
                s.execute("DROP TABLE moved");
            }
        });
        CHECKS.put("several_results", c -> {
            try (Statement s = c.createStatement()) {
                equal(s.execute("SELECT 1; SELECT 2"), true);
                equal(rows(s.getResultSet()), List.of("1"));
                equal(s.getMoreResults(), true);
                equal(rows(s.getResultSet()), List.of("2"));
            }
        });
    }

    static PreparedStatement prepared(Connection c) throws SQLException {
        c.createStatement().execute("CREATE TABLE moved (a INTEGER PRIMARY KEY, b TEXT)");
        c.createStatement().execute("INSERT INTO moved VALUES (1, 'x')");
        PreparedStatement p = c.prepareStatement("SELECT * FROM moved");
        for (int i = 0; i < 8; i++) {
            equal(rows(p.executeQuery()), List.of("1|x"));
        }
        return p;
    }

    static void both(Connection c) throws SQLException {
        OffsetDateTime at = OffsetDateTime.of(2026, 1, 1, 0, 0, 0, 0, ZoneOffset.UTC);
        String sql = "SELECT owner, weight, seen, tags, info, price, day, active, rank, id, raw, small, code, at, ip FROM assets WHERE rank = ? AND seen = ? AND price > ?";
        try (PreparedStatement p = c.prepareStatement(sql)) {
            for (int i = 0; i < 7; i++) {
                p.setInt(1, 7);
                p.setObject(2, at);
                p.setBigDecimal(3, new java.math.BigDecimal("12.49"));
                try (ResultSet r = p.executeQuery()) {
                    equal(r.next(), true);
                    equal(r.getString(1), "ann");
                    equal(r.getDouble(2), 1.5);
                    equal(r.getObject(3, OffsetDateTime.class).toInstant(), at.toInstant());
                    Object[] tags = (Object[]) r.getArray(4).getArray();
                    equal(List.of(tags[0], tags[1]), List.of("a", "b c"));
                    equal(tags[2], null);
                    equal(r.getString(5), "{\"k\": [1, 2]}");
                    equal(r.getBigDecimal(6).toString(), "12.50");
                    equal(r.getObject(7, java.time.LocalDate.class).toString(), "2026-01-02");
                    equal(r.getBoolean(8), true);
                    equal(r.getObject(9), 7);
                    equal(r.getObject(10).toString(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
                    equal(r.getBytes(11).length, 2);
                    equal(r.getInt(12), 3);
                    equal(r.getString(13), "abc");
                    equal(r.getObject(14, java.time.LocalDateTime.class).toString(), "2026-01-01T10:11:12.500");
                    equal(r.getString(15), "10.0.0.1");
                }
            }
        }
        try (PreparedStatement p = c.prepareStatement("SELECT count(*) FROM auth WHERE username = ANY (?) AND bytes IS DISTINCT FROM ?")) {
            Array a = c.createArrayOf("text", new Object[] {"ann", "bob"});
            p.setArray(1, a);
            p.setNull(2, Types.BIGINT);
            equal(rows(p.executeQuery()), List.of("2"));
        }
    }

    static void sessions() {
        CHECKS.put("transactions", c -> {
            c.setAutoCommit(false);
            c.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
            c.setReadOnly(true);
            equal(query(c, "SELECT count(*) FROM busy"), List.of("2"));
            c.rollback();
            c.setReadOnly(false);
            refused("22012", () -> query(c, "SELECT 1 / 0"));
            refused("25P02", () -> query(c, "SELECT 1"));
            c.rollback();
            equal(query(c, "SELECT 1"), List.of("1"));
            c.commit();
        });
        CHECKS.put("savepoints", c -> {
            c.setAutoCommit(false);
            try (Statement s = c.createStatement()) {
                s.executeUpdate("INSERT INTO assets (ip, owner) VALUES ('10.13.0.1', 'kept')");
                java.sql.Savepoint here = c.setSavepoint("here");
                s.executeUpdate("INSERT INTO assets (ip, owner) VALUES ('10.13.0.2', 'undone')");
                c.rollback(here);
                c.commit();
                equal(query(c, "SELECT owner FROM assets WHERE ip <<= '10.13.0.0/24'"), List.of("kept"));
                s.executeUpdate("DELETE FROM assets WHERE owner = 'kept'");
                c.commit();
            }
        });
        CHECKS.put("read_only", c -> {
            c.setReadOnly(true);
            c.setAutoCommit(false);
            refused("25006", () -> c.createStatement().executeUpdate("INSERT INTO assets (ip) VALUES ('10.13.1.1')"));
        });
        CHECKS.put("copy", c -> {
            var copy = c.unwrap(PGConnection.class).getCopyAPI();
            equal(copy.copyIn("COPY assets (ip, owner) FROM STDIN WITH CSV", new StringReader("10.14.0.1,\"a,b\"\n10.14.0.2,\n")), 2L);
            StringWriter out = new StringWriter();
            equal(copy.copyOut("COPY (SELECT host(ip), owner FROM assets WHERE ip <<= '10.14.0.0/24' ORDER BY ip) TO STDOUT", out), 2L);
            equal(out.toString(), "10.14.0.1\ta,b\n10.14.0.2\t\\N\n");
            equal(c.createStatement().executeUpdate("DELETE FROM assets WHERE ip <<= '10.14.0.0/24'"), 2);
        });
        CHECKS.put("notifications", c -> {
            try (Statement s = c.createStatement()) {
                s.execute("LISTEN javanews");
                s.execute("NOTIFY javanews, 'x'");
            }
            PGNotification[] n = c.unwrap(PGConnection.class).getNotifications(30000);
            equal(n.length, 1);
            equal(List.of(n[0].getName(), n[0].getParameter()), List.of("javanews", "x"));
        });
        CHECKS.put("alerts", c -> {
            try (Statement s = c.createStatement()) {
                s.execute("LISTEN busy");
                s.execute("INSERT INTO auth VALUES ('2026-01-01 00:03:00Z', 'dan', NULL, 1, NULL)");
            }
            PGNotification[] n = c.unwrap(PGConnection.class).getNotifications(30000);
            equal(n[0].getName(), "busy");
            equal(n[0].getParameter().contains("\"username\":\"cid\""), true);
        });
        CHECKS.put("timeout_and_cancel", c -> {
            try (Statement s = c.createStatement()) {
                s.setQueryTimeout(1);
                refused("57014", () -> s.executeQuery("SELECT pg_sleep(60)"));
            }
            try (Statement s = c.createStatement()) {
                Thread t = new Thread(() -> {
                    try {
                        Thread.sleep(200);
                        s.cancel();
                    } catch (Exception e) {
                        throw new AssertionError(e);
                    }
                });
                t.start();
                refused("57014", () -> s.executeQuery("SELECT pg_sleep(60)"));
                t.join();
            }
            equal(c.isValid(5), true);
        });
        CHECKS.put("connection_settings", c -> {
            c.setClientInfo("ApplicationName", "tests");
            equal(query(c, "SHOW application_name"), List.of("tests"));
            c.setSchema("public");
            equal(c.getTransactionIsolation(), Connection.TRANSACTION_READ_COMMITTED);
            try (Connection d = DriverManager.getConnection(URL + "&options=-c%20statement_timeout=5000&currentSchema=public&ApplicationName=BI")) {
                equal(query(d, "SHOW application_name"), List.of("BI"));
            }
        });
        CHECKS.put("startup_options", c -> {
            try (Connection d = DriverManager.getConnection(URL + "&options=-c%20statement_timeout=5000")) {
                equal(query(d, "SHOW statement_timeout"), List.of("5s"));
            }
        });
    }

    public static void main(String[] args) {
        metadata();
        queries();
        sessions();
        boolean failed = false;
        for (Map.Entry<String, Check> e : CHECKS.entrySet()) {
            try (Connection c = DriverManager.getConnection(URL)) {
                e.getValue().run(c);
                System.out.println("ok " + e.getKey());
            } catch (Throwable t) {
                failed = true;
                int line = 0;
                for (StackTraceElement f : t.getStackTrace()) {
                    if (f.getClassName().equals("Use") && !List.of("equal", "refused", "rows", "query").contains(f.getMethodName())) {
                        line = f.getLineNumber();
                        break;
                    }
                }
                System.out.println("FAIL " + e.getKey() + ": line " + line + ": " + String.valueOf(t).replaceAll("\\s+", " "));
            }
        }
        System.exit(failed ? 1 : 0);
    }
}

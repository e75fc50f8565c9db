// PostgreSQL's JDBC driver, as DBeaver, Metabase and DataGrip use it, against a server that has the table `t` (see mod.rs): what they ask of
// DatabaseMetaData, prepared statements, pages of rows, cancelling. Usage: java -cp … PostgresClient.java HOST PORT.

import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

public class PostgresClient {
    static int passed = 0;

    static void check(Object found, Object expected, String what) {
        if (!Objects.equals(found, expected)) {
            throw new AssertionError(what + ": found " + found + ", expected " + expected);
        }
    }

    static List<String> column(ResultSet rows, String name) throws SQLException {
        List<String> out = new ArrayList<>();
        while (rows.next()) {
            out.add(rows.getString(name));
        }
        rows.close();
        return out;
    }

    static void metadata(Connection connection) throws SQLException {
        DatabaseMetaData data = connection.getMetaData();
        check(data.getDatabaseProductName(), "PostgreSQL", "product");
        check(column(data.getCatalogs(), "TABLE_CAT"), List.of("druid"), "catalogs");
        List<String> schemas = column(data.getSchemas(), "TABLE_SCHEM");
        check(schemas.containsAll(List.of("druid", "lookup", "sys")), true, "schemas " + schemas);
        check(column(data.getTables(null, "druid", "%", new String[] {"TABLE"}), "TABLE_NAME"), List.of("t"), "tables");
        check(column(data.getTables(null, "sys", "seg%", null), "TABLE_NAME"), List.of("segments"), "tables of sys");
        check(column(data.getTableTypes(), "TABLE_TYPE").contains("VIEW"), true, "table types");
        ResultSet columns = data.getColumns(null, "druid", "t", "%");
        List<String> found = new ArrayList<>();
        while (columns.next()) {
            found.add(columns.getString("COLUMN_NAME") + " " + columns.getString("TYPE_NAME") + " " + columns.getString("IS_NULLABLE"));
        }
        check(found, List.of("__time timestamptz NO", "page text YES", "lang text YES", "added int8 YES", "score float8 YES", "tags text YES"), "columns");
        check(column(data.getPrimaryKeys(null, "druid", "t"), "COLUMN_NAME"), List.of(), "primary keys");
        check(column(data.getImportedKeys(null, "druid", "t"), "FKCOLUMN_NAME"), List.of(), "foreign keys");
        check(column(data.getExportedKeys(null, "druid", "t"), "FKCOLUMN_NAME"), List.of(), "keys that refer to it");
        check(column(data.getIndexInfo(null, "druid", "t", false, true), "INDEX_NAME"), List.of(), "indexes");
        check(column(data.getTypeInfo(), "TYPE_NAME").contains("int8"), true, "types");
        column(data.getFunctions(null, "%", "time_floor"), "FUNCTION_NAME");
        column(data.getProcedures(null, null, "%"), "PROCEDURE_NAME");
        column(data.getTablePrivileges(null, "druid", "t"), "PRIVILEGE");
        column(data.getColumnPrivileges(null, "druid", "t", "%"), "PRIVILEGE");
        column(data.getUDTs(null, null, "%", null), "TYPE_NAME");
        column(data.getBestRowIdentifier(null, "druid", "t", DatabaseMetaData.bestRowSession, true), "COLUMN_NAME");
        column(data.getVersionColumns(null, "druid", "t"), "COLUMN_NAME");
        passed++;
    }

    static void statements(Connection connection) throws SQLException {
        String sql = "SELECT lang, COUNT(*) AS n, MAX(__time) FROM t WHERE added < ? AND lang = ? AND __time >= ? GROUP BY 1";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            // The driver prepares on the server from the fifth time on, with binary results.
            for (int i = 0; i < 8; i++) {
                statement.setLong(1, 100 + i);
                statement.setString(2, "en");
                statement.setTimestamp(3, Timestamp.valueOf("2024-01-01 00:00:00"));
                ResultSet rows = statement.executeQuery();
                check(rows.next(), true, "a row");
                check(rows.getString(1), "en", "lang");
                check(rows.getLong("n"), (long) (100 + i + 2) / 3, "count " + i);
                check(rows.getTimestamp(3) != null, true, "time");
                check(rows.getMetaData().getColumnTypeName(2), "int8", "type");
            }
        }
        try (Statement statement = connection.createStatement()) {
            statement.setMaxRows(5);
            check(column(statement.executeQuery("SELECT added FROM t ORDER BY added"), "added"), List.of("0", "1", "2", "3", "4"), "cut rows");
        }
        passed++;
    }

    static void pages(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(100);
            ResultSet rows = statement.executeQuery("SELECT added FROM t ORDER BY added");
            long expected = 0;
            while (rows.next()) {
                check(rows.getLong(1), expected++, "row");
            }
            check(expected, 1000L, "rows");
        }
        connection.commit();
        connection.setAutoCommit(true);
        passed++;
    }

    static void failures(Connection connection) throws SQLException, InterruptedException {
        try (Statement statement = connection.createStatement()) {
            statement.executeQuery("SELECT nothing FROM t");
            throw new AssertionError("answered");
        } catch (SQLException error) {
            check(error.getSQLState(), "42703", "state");
        }
        StringBuilder slow = new StringBuilder("SELECT 0");
        for (int i = 0; i < 100; i++) {
            slow.append(" + (SELECT SUM(CHAR_LENGTH(CONCAT(a.page, b.page, '").append(i).append("'))) FROM t a, t b WHERE b.page = 'page3')");
        }
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            statement.executeQuery(slow.toString());
            throw new AssertionError("not late");
        } catch (SQLException error) {
            check(error.getSQLState(), "57014", "state");
        }
        try (Statement statement = connection.createStatement()) {
            ResultSet rows = statement.executeQuery("SELECT COUNT(*) FROM t");
            check(rows.next() && rows.getLong(1) == 1000, true, "the connection goes on");
        }
        passed++;
    }

    public static void main(String[] args) throws Exception {
        String url = "jdbc:postgresql://" + args[0] + ":" + args[1] + "/druid?user=alice&password=any";
        try (Connection connection = DriverManager.getConnection(url)) {
            metadata(connection);
            statements(connection);
            pages(connection);
            failures(connection);
        }
        System.out.println(passed + " parts passed");
    }
}

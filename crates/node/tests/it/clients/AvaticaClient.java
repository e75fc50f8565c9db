import java.sql.*;
import java.util.*;
import java.util.concurrent.*;

/**
 * Avatica's JDBC driver against a server that has the table `t` (see mod.rs): the catalogue, prepared statements, results in
 * pages, cancelling. Usage: AvaticaClient HOST PORT json|protobuf.
 */
public class AvaticaClient {
  static String url;

  static void check(boolean holds, Object seen) {
    if (!holds) throw new AssertionError("seen: " + seen);
  }

  static Connection open(String... properties) throws SQLException {
    Properties given = new Properties();
    for (int i = 0; i < properties.length; i += 2) given.setProperty(properties[i], properties[i + 1]);
    return DriverManager.getConnection(url, given);
  }

  static List<String> texts(ResultSet rows, String... columns) throws SQLException {
    List<String> found = new ArrayList<>();
    while (rows.next()) {
      List<String> row = new ArrayList<>();
      for (String column : columns) row.add(rows.getString(column));
      found.add(String.join("|", row));
    }
    rows.close();
    return found;
  }

  static void catalogue() throws SQLException {
    try (Connection connection = open()) {
      DatabaseMetaData about = connection.getMetaData();
      check(texts(about.getCatalogs(), "TABLE_CAT").equals(List.of("druid")), "catalogs");
      List<String> schemas = texts(about.getSchemas(), "TABLE_SCHEM", "TABLE_CATALOG");
      check(schemas.containsAll(List.of("INFORMATION_SCHEMA|druid", "druid|druid", "lookup|druid", "sys|druid")), schemas);
      List<String> tables = texts(about.getTables(null, "druid", "%", null), "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE");
      check(tables.equals(List.of("druid|t|TABLE")), tables);
      List<String> system = texts(about.getTables("druid", "sys", "seg%", new String[] {"SYSTEM_TABLE"}), "TABLE_NAME");
      check(system.equals(List.of("segments")), system);
      List<String> types = texts(about.getTableTypes(), "TABLE_TYPE");
      check(types.equals(List.of("SYSTEM_TABLE", "TABLE")), types);
      List<String> columns = texts(about.getColumns(null, "druid", "t", null), "COLUMN_NAME", "TYPE_NAME", "DATA_TYPE", "ORDINAL_POSITION");
      check(columns.size() == 6 && columns.get(0).equals("__time|TIMESTAMP|93|1"), columns);
      check(columns.contains("added|BIGINT|-5|4"), columns);
      check(texts(about.getColumns(null, "druid", "t", "ad%"), "COLUMN_NAME").equals(List.of("added")), "one column");
      check(texts(about.getTypeInfo(), "TYPE_NAME").contains("VARCHAR"), "types");
      check(!about.getDatabaseProductName().isEmpty(), about.getDatabaseProductName());
      // What Druid has none of is an empty result or the driver's own answer, never a broken connection.
      texts(about.getPrimaryKeys(null, "druid", "t"));
      texts(about.getImportedKeys(null, "druid", "t"));
      texts(about.getIndexInfo(null, "druid", "t", false, true));
      texts(about.getProcedures(null, null, "%"));
      check(connection.isValid(5) && !connection.isClosed(), "valid");
    }
  }

  static void plainStatements() throws SQLException {
    try (Connection connection = open("sqlTimeZone", "Etc/UTC"); Statement statement = connection.createStatement()) {
      ResultSet rows = statement.executeQuery(
          "SELECT __time, lang, added, score, added > 5 AS big, CAST(__time AS DATE) AS d, ARRAY['a', 'b'] AS a, tags FROM t ORDER BY added LIMIT 2");
      ResultSetMetaData about = rows.getMetaData();
      List<String> types = new ArrayList<>();
      for (int i = 1; i <= about.getColumnCount(); i++) types.add(about.getColumnLabel(i) + ":" + about.getColumnTypeName(i));
      check(types.equals(List.of("__time:TIMESTAMP", "lang:VARCHAR", "added:BIGINT", "score:DOUBLE", "big:BOOLEAN", "d:DATE", "a:ARRAY", "tags:VARCHAR")), types);
      check(rows.next() && rows.next(), "two rows");
      Calendar utc = Calendar.getInstance(TimeZone.getTimeZone("UTC"));
      check(rows.getTimestamp("__time", utc).getTime() == 1704153601000L, rows.getTimestamp("__time", utc));
      check(rows.getString("lang").equals("de") && rows.getLong("added") == 1 && rows.getDouble("score") == 0.5, "values");
      check(!rows.getBoolean("big") && rows.getDate("d", utc).getTime() == 1704153600000L, rows.getDate("d", utc));
      check(Arrays.equals((Object[]) rows.getArray("a").getArray(), new Object[] {"a", "b"}), "array");
      check(rows.getString("tags").equals("[\"x\",\"y\"]"), rows.getString("tags"));
      check(!rows.next(), "end");
      rows = statement.executeQuery("SELECT MAX(added) FILTER (WHERE added < 0), CAST(NULL AS VARCHAR) FROM t");
      check(rows.next(), "a row");
      rows.getLong(1);
      check(rows.wasNull() && rows.getString(2) == null, "nulls");
      try {
        statement.executeQuery("SELECT nothing FROM t");
        throw new AssertionError("answered");
      } catch (SQLException refused) {
        check(refused.getMessage().contains("nothing"), refused.getMessage());
      }
      rows = statement.executeQuery("SELECT 1");
      check(rows.next() && rows.getInt(1) == 1, "a statement after a refused one");
    }
  }

  static void prepared() throws SQLException {
    try (Connection connection = open();
        PreparedStatement statement = connection.prepareStatement(
            "SELECT COUNT(*) AS n, MAX(added) AS m FROM t WHERE lang = ? AND added < ? AND score >= ? AND __time >= ?")) {
      ParameterMetaData wanted = statement.getParameterMetaData();
      List<String> types = new ArrayList<>();
      for (int i = 1; i <= wanted.getParameterCount(); i++) types.add(wanted.getParameterTypeName(i));
      check(types.equals(List.of("VARCHAR", "BIGINT", "DOUBLE", "TIMESTAMP")), types);
      check(statement.getMetaData().getColumnLabel(2).equals("m"), "described before it runs");
      for (String lang : List.of("en", "de", "no'ne")) {
        statement.setString(1, lang);
        statement.setLong(2, 100);
        statement.setDouble(3, 10.5);
        statement.setTimestamp(4, new Timestamp(0));
        ResultSet rows = statement.executeQuery();
        check(rows.next(), "a row");
        // Scores are added / 2, so 21 and more.
        long[] expected = lang.equals("en") ? new long[] {27, 99} : lang.equals("de") ? new long[] {26, 97} : new long[] {0, 0};
        check(rows.getLong("n") == expected[0] && rows.getLong("m") == expected[1], lang + " " + rows.getLong("n") + " " + rows.getLong("m"));
        rows.close();
      }
      try {
        connection.prepareStatement("SELECT ? FROM absent");
        throw new AssertionError("prepared");
      } catch (SQLException refused) {
        check(refused.getMessage().contains("absent"), refused.getMessage());
      }
    }
  }

  static void pages() throws SQLException {
    try (Connection connection = open(); Statement statement = connection.createStatement()) {
      for (int size : List.of(7, 100, 0)) {
        statement.setFetchSize(size);
        ResultSet rows = statement.executeQuery("SELECT added FROM t ORDER BY added");
        long next = 0;
        while (rows.next()) check(rows.getLong(1) == next++, next);
        check(next == 1000, next);
        rows.close();
      }
      statement.setMaxRows(13);
      ResultSet rows = statement.executeQuery("SELECT added FROM t");
      int count = 0;
      while (rows.next()) count++;
      check(count == 13, count);
      statement.setMaxRows(0);
      statement.setFetchSize(10);
      // A result that is left in the middle; the statement goes on with another one.
      rows = statement.executeQuery("SELECT added FROM t ORDER BY added");
      check(rows.next(), "first");
      rows = statement.executeQuery("SELECT COUNT(*) FROM t");
      check(rows.next() && rows.getLong(1) == 1000, "second");
    }
  }

  /**
   * The driver's cancel() is a flag of its own, and its close() of a statement waits for what that runs. What reaches the server is
   * that a connection is closed: what would work for long ends soon.
   */
  static void cancel() throws Exception {
    ExecutorService threads = Executors.newSingleThreadExecutor();
    try (Connection connection = open()) {
      try (Statement statement = connection.createStatement()) {
        statement.setFetchSize(10);
        ResultSet rows = statement.executeQuery("SELECT added FROM t");
        check(rows.next(), "a row");
        statement.cancel();
        try {
          while (rows.next()) {}
          throw new AssertionError("went on");
        } catch (SQLException refused) {
          check(refused.getMessage().toLowerCase().contains("cancel"), refused.getMessage());
        }
      }
      Statement statement = connection.createStatement();
      List<String> parts = new ArrayList<>();
      for (int i = 0; i < 100; i++) {
        parts.add("(SELECT SUM(CHAR_LENGTH(CONCAT(a.page, b.page, '" + i + "'))) FROM t a, t b WHERE b.page = 'page3')");
      }
      String slow = "SELECT " + String.join(" + ", parts);
      Future<String> ended = threads.submit(() -> {
        try {
          ResultSet rows = statement.executeQuery(slow);
          return rows.next() ? "a row" : "no row";
        } catch (SQLException refused) {
          return "refused: " + refused.getMessage();
        }
      });
      Thread.sleep(500);
      check(!ended.isDone(), "it still works");
      long began = System.nanoTime();
      connection.close();
      String end = ended.get(20, TimeUnit.SECONDS);
      long waited = (System.nanoTime() - began) / 1000000;
      check(end.startsWith("refused") && waited < 5000, end + " after " + waited + " ms");
      System.out.println("ended " + waited + " ms after it was closed");
    }
    try (Connection other = open(); ResultSet rows = other.createStatement().executeQuery("SELECT COUNT(*) FROM t")) {
      check(rows.next() && rows.getLong(1) == 1000, "after a cancelled one");
    } finally {
      threads.shutdownNow();
    }
  }

  static void limits() throws SQLException {
    try (Connection connection = open()) {
      List<Statement> statements = new ArrayList<>();
      // The driver throws an unchecked exception where it makes a statement.
      Exception refused = null;
      for (int i = 0; i < 20 && refused == null; i++) {
        try {
          statements.add(connection.createStatement());
          statements.get(i).executeQuery("SELECT added FROM t");
        } catch (SQLException | RuntimeException e) {
          refused = e;
        }
      }
      check(refused != null && refused.getMessage().contains("Too many open statements"), refused);
      for (Statement statement : statements) statement.close();
      try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("SELECT 1")) {
        check(rows.next(), "closed statements make room");
      }
    }
  }

  public static void main(String[] arguments) throws Exception {
    String form = arguments[2];
    String path = form.equals("json") ? "avatica/" : "avatica-protobuf/;serialization=protobuf";
    url = "jdbc:avatica:remote:url=http://" + arguments[0] + ":" + arguments[1] + "/druid/v2/sql/" + path;
    catalogue();
    plainStatements();
    prepared();
    pages();
    limits();
    cancel();
    System.out.println("6 parts passed over " + form);
  }
}

//! The catalogue calls of JDBC as queries of INFORMATION_SCHEMA (`DruidMeta`).

use serde_json::Value as Json;

/// A text literal.
fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

fn equals(column: &str, value: &Json) -> Option<String> {
    value.as_str().map(|value| format!("{column} = {}", text(value)))
}

fn like(column: &str, pattern: &Json) -> Option<String> {
    pattern.as_str().map(|pattern| format!("{column} LIKE {} ESCAPE '\\'", text(pattern)))
}

fn filtered(conditions: impl IntoIterator<Item = Option<String>>) -> String {
    let list: Vec<String> = conditions.into_iter().flatten().collect();
    if list.is_empty() { String::new() } else { format!(" WHERE {}", list.join(" AND ")) }
}

/// The statement that answers a catalogue request; `None` for other requests.
pub fn statement(request: &Json) -> Option<String> {
    let null = |name: &str| format!("CAST(NULL AS VARCHAR) AS {name}");
    Some(match request["request"].as_str()? {
        "getCatalogs" => {
            "SELECT DISTINCT CATALOG_NAME AS TABLE_CAT FROM INFORMATION_SCHEMA.SCHEMATA ORDER BY TABLE_CAT".to_owned()
        }
        "getSchemas" => format!(
            "SELECT SCHEMA_NAME AS TABLE_SCHEM, CATALOG_NAME AS TABLE_CATALOG FROM INFORMATION_SCHEMA.SCHEMATA{} \
             ORDER BY TABLE_CATALOG, TABLE_SCHEM",
            filtered([equals("CATALOG_NAME", &request["catalog"]), like("SCHEMA_NAME", &request["schemaPattern"])])
        ),
        "getTableTypes" => "SELECT DISTINCT TABLE_TYPE FROM INFORMATION_SCHEMA.TABLES ORDER BY TABLE_TYPE".to_owned(),
        "getTables" => {
            let types = request["typeList"].as_array().map(|list| {
                let list: Vec<String> = list.iter().filter_map(Json::as_str).map(text).collect();
                if list.is_empty() { "FALSE".to_owned() } else { format!("TABLE_TYPE IN ({})", list.join(", ")) }
            });
            let nulls = ["REMARKS", "TYPE_CAT", "TYPE_SCHEM", "TYPE_NAME", "SELF_REFERENCING_COL_NAME", "REF_GENERATION"];
            format!(
                "SELECT TABLE_CATALOG AS TABLE_CAT, TABLE_SCHEMA AS TABLE_SCHEM, TABLE_NAME, TABLE_TYPE, {} \
                 FROM INFORMATION_SCHEMA.TABLES{} ORDER BY TABLE_TYPE, TABLE_CAT, TABLE_SCHEM, TABLE_NAME",
                nulls.map(null).join(", "),
                filtered([
                    equals("TABLE_CATALOG", &request["catalog"]),
                    like("TABLE_SCHEMA", &request["schemaPattern"]),
                    like("TABLE_NAME", &request["tableNamePattern"]),
                    types,
                ])
            )
        }
        "getColumns" => {
            let scope = ["SCOPE_CATALOG", "SCOPE_SCHEMA", "SCOPE_TABLE"].map(null).join(", ");
            format!(
                "SELECT TABLE_CATALOG AS TABLE_CAT, TABLE_SCHEMA AS TABLE_SCHEM, TABLE_NAME, COLUMN_NAME, \
                 CAST(JDBC_TYPE AS INTEGER) AS DATA_TYPE, DATA_TYPE AS TYPE_NAME, -1 AS COLUMN_SIZE, -1 AS BUFFER_LENGTH, \
                 -1 AS DECIMAL_DIGITS, -1 AS NUM_PREC_RADIX, CASE IS_NULLABLE WHEN 'YES' THEN 1 ELSE 0 END AS NULLABLE, \
                 CAST(NULL AS VARCHAR) AS REMARKS, COLUMN_DEFAULT AS COLUMN_DEF, -1 AS SQL_DATA_TYPE, \
                 -1 AS SQL_DATETIME_SUB, -1 AS CHAR_OCTET_LENGTH, CAST(ORDINAL_POSITION AS INTEGER) AS ORDINAL_POSITION, \
                 IS_NULLABLE, {scope}, -1 AS SOURCE_DATA_TYPE, 'NO' AS IS_AUTOINCREMENT, 'NO' AS IS_GENERATEDCOLUMN \
                 FROM INFORMATION_SCHEMA.COLUMNS{} ORDER BY TABLE_CAT, TABLE_SCHEM, TABLE_NAME, ORDINAL_POSITION",
                filtered([
                    equals("TABLE_CATALOG", &request["catalog"]),
                    like("TABLE_SCHEMA", &request["schemaPattern"]),
                    like("TABLE_NAME", &request["tableNamePattern"]),
                    like("COLUMN_NAME", &request["columnNamePattern"]),
                ])
            )
        }
        "getTypeInfo" => {
            let types = [("VARCHAR", 12), ("BIGINT", -5), ("FLOAT", 6), ("DOUBLE", 8), ("TIMESTAMP", 93), ("DATE", 91)];
            let rows = types.map(|(name, id)| format!("('{name}', {id})")).join(", ");
            format!("SELECT * FROM (VALUES {rows}) AS t (TYPE_NAME, DATA_TYPE) ORDER BY DATA_TYPE")
        }
        _ => return None,
    })
}

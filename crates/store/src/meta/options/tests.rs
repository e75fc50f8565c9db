//! Addresses and properties as operators write them.

use super::*;

fn options(text: &str) -> Result<MetadataOptions> {
    let environment = |name: &str| (name == "DB_PASS").then(|| "s3cret".to_owned());
    MetadataOptions::from_properties(&Properties::parse(text)?, Path::new("/base"), &environment)
}

#[test]
fn nothing_said_means_a_sqlite_file_below_var() {
    assert_eq!(options("").expect("defaults").shown(), "sqlite /base/var/druid/metadata/ovate.db");
    assert_eq!(
        options("druid.metadata.storage.connector.connectURI=jdbc:sqlite:m.db").expect("a file").shown(),
        "sqlite /base/m.db"
    );
}

#[test]
fn druids_addresses_of_servers_are_understood() {
    let postgres = options(
        "druid.metadata.storage.type=postgresql\n\
         druid.metadata.storage.connector.connectURI=jdbc:postgresql://db.example.com:6432/druid?sslmode=disable&socketTimeout=30\n\
         druid.metadata.storage.connector.user=druid\n\
         druid.metadata.storage.connector.password={\"type\":\"environment\",\"variable\":\"DB_PASS\"}",
    )
    .expect("a server");
    assert_eq!(postgres.shown(), "postgresql db.example.com:6432/druid");
    assert_eq!(postgres.statement_max, Duration::from_secs(30));
    for uri in ["jdbc:mysql://h/druid?useSSL=false&characterEncoding=UTF-8", "jdbc:mariadb://h:3306/druid"] {
        let mysql = options(&format!(
            "druid.metadata.storage.type=mysql\ndruid.metadata.storage.connector.connectURI={uri}\n\
             druid.metadata.storage.tables.base=prod\ndruid.metadata.storage.tables.taskLock=locks"
        ))
        .expect("a server");
        assert_eq!(mysql.shown(), "mysql h:3306/druid");
        assert_eq!((mysql.tables.name("segments").as_str(), mysql.tables.name("tasklocks").as_str()), ("prod_segments", "locks"));
    }
}

#[test]
fn what_cannot_be_honoured_is_refused_by_name() {
    let refused = |text: &str| options(text).expect_err("refused").message;
    let uri = |uri: &str| refused(&format!("druid.metadata.storage.connector.connectURI={uri}"));
    assert!(uri("jdbc:postgresql://h/d?gssEncMode=require").contains("gssEncMode"));
    assert!(uri("jdbc:mysql://a,b/d").contains("one host"));
    assert!(uri("jdbc:mysql://a:x/d?password=geheim").contains("expected"));
    assert!(!uri("jdbc:mysql://a:x/d?password=geheim").contains("geheim"));
    assert!(refused("druid.metadata.storage.type=sqlserver").contains("sqlserver"));
    assert!(refused("druid.metadata.storage.type=mysql").contains("connectURI"));
    assert!(refused("druid.metadata.storage.tables.base=a;drop").contains("letters"));
    let password = "druid.metadata.storage.connector.password={\"type\":\"environment\",\"variable\":\"NONE\"}";
    assert!(refused(password).contains("NONE"));
}

#[test]
fn derby_is_replaced_where_there_is_none_and_refused_where_there_is_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = "druid.metadata.storage.type=derby\n\
                druid.metadata.storage.connector.connectURI=jdbc:derby://localhost:1527/var/druid/metadata.db;create=true";
    let properties = Properties::parse(text).expect("properties");
    let read = || MetadataOptions::from_properties(&properties, dir.path(), &|_| None);
    let options = read().expect("replaced");
    assert!(options.shown().ends_with("var/druid/metadata.db.sqlite"), "{}", options.shown());
    assert!(options.notes[0].contains("derby"));
    let derby = dir.path().join("var/druid/metadata.db");
    std::fs::create_dir_all(&derby).expect("a directory");
    std::fs::write(derby.join("service.properties"), "").expect("a file");
    assert!(read().expect_err("refused").message.contains("export-metadata"));
    let remote = "druid.metadata.storage.type=derby\ndruid.metadata.storage.connector.connectURI=jdbc:derby://db1:1527/druid";
    let remote = Properties::parse(remote).expect("properties");
    let error = MetadataOptions::from_properties(&remote, dir.path(), &|_| None).expect_err("refused");
    assert!(error.message.contains("db1"));
}

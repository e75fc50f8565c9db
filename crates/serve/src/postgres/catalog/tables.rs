//! Which system tables there are and what their columns are. Tables of things that we have none of are there and empty, so that
//! the queries by which clients look around find nothing instead of failing.

use pgwire::api::Type;

/// `schema.table` and its columns, `name:type` each; without a type it is text.
pub const TABLES: &[(&str, &str)] = &[
    ("pg_catalog.pg_namespace", "oid:oid nspname:name nspowner:oid nspacl:text[]"),
    (
        "pg_catalog.pg_class",
        "oid:oid relname:name relnamespace:oid reltype:oid reloftype:oid relowner:oid relam:oid relfilenode:oid reltablespace:oid \
         relpages:int4 reltuples:float4 relallvisible:int4 reltoastrelid:oid relhasindex:bool relisshared:bool relpersistence:char \
         relkind:char relnatts:int2 relchecks:int2 relhasrules:bool relhastriggers:bool relhassubclass:bool relrowsecurity:bool \
         relforcerowsecurity:bool relispopulated:bool relreplident:char relispartition:bool relrewrite:oid relfrozenxid:int4 \
         relminmxid:int4 relacl:text[] reloptions:text[] relpartbound relhasoids:bool",
    ),
    (
        "pg_catalog.pg_attribute",
        "attrelid:oid attname:name atttypid:oid attstattarget:int4 attlen:int2 attnum:int2 attndims:int4 attcacheoff:int4 \
         atttypmod:int4 attbyval:bool attalign:char attstorage:char attcompression:char attnotnull:bool atthasdef:bool \
         atthasmissing:bool attidentity:char attgenerated:char attisdropped:bool attislocal:bool attinhcount:int4 attcollation:oid \
         attacl:text[] attoptions:text[] attfdwoptions:text[] attmissingval",
    ),
    (
        "pg_catalog.pg_type",
        "oid:oid typname:name typnamespace:oid typowner:oid typlen:int2 typbyval:bool typtype:char typcategory:char \
         typispreferred:bool typisdefined:bool typdelim:char typrelid:oid typsubscript:regproc typelem:oid typarray:oid \
         typinput:regproc typoutput:regproc typreceive:regproc typsend:regproc typmodin:regproc typmodout:regproc \
         typanalyze:regproc typalign:char typstorage:char typnotnull:bool typbasetype:oid typtypmod:int4 typndims:int4 \
         typcollation:oid typdefaultbin typdefault typacl:text[]",
    ),
    (
        "pg_catalog.pg_database",
        "oid:oid datname:name datdba:oid encoding:int4 datlocprovider:char datistemplate:bool datallowconn:bool \
         datconnlimit:int4 datfrozenxid:int4 datminmxid:int4 dattablespace:oid datcollate datctype daticulocale daticurules \
         datcollversion datacl:text[] datlastsysoid:oid",
    ),
    (
        "pg_catalog.pg_roles",
        "oid:oid rolname:name rolsuper:bool rolinherit:bool rolcreaterole:bool rolcreatedb:bool rolcanlogin:bool \
         rolreplication:bool rolconnlimit:int4 rolpassword rolvaliduntil rolbypassrls:bool rolconfig:text[]",
    ),
    (
        "pg_catalog.pg_authid",
        "oid:oid rolname:name rolsuper:bool rolinherit:bool rolcreaterole:bool rolcreatedb:bool rolcanlogin:bool \
         rolreplication:bool rolbypassrls:bool rolconnlimit:int4 rolpassword rolvaliduntil",
    ),
    (
        "pg_catalog.pg_user",
        "usename:name usesysid:oid usecreatedb:bool usesuper:bool userepl:bool usebypassrls:bool passwd valuntil useconfig:text[]",
    ),
    ("pg_catalog.pg_auth_members", "roleid:oid member:oid grantor:oid admin_option:bool"),
    ("pg_catalog.pg_tablespace", "oid:oid spcname:name spcowner:oid spcacl:text[] spcoptions:text[]"),
    ("pg_catalog.pg_am", "oid:oid amname:name amhandler:regproc amtype:char"),
    (
        "pg_catalog.pg_settings",
        "name setting unit category short_desc extra_desc context vartype source min_val max_val enumvals:text[] boot_val reset_val sourcefile sourceline:int4 pending_restart:bool",
    ),
    (
        "pg_catalog.pg_tables",
        "schemaname:name tablename:name tableowner:name tablespace:name hasindexes:bool hasrules:bool hastriggers:bool rowsecurity:bool",
    ),
    ("pg_catalog.pg_views", "schemaname:name viewname:name viewowner:name definition"),
    (
        "pg_catalog.pg_matviews",
        "schemaname:name matviewname:name matviewowner:name tablespace:name hasindexes:bool ispopulated:bool definition",
    ),
    (
        "pg_catalog.pg_stat_activity",
        "datid:oid datname:name pid:int4 usename:name application_name client_addr state query query_start backend_type",
    ),
    (
        "pg_catalog.pg_stat_user_tables",
        "relid:oid schemaname:name relname:name n_live_tup:int8 n_dead_tup:int8 seq_scan:int8 idx_scan:int8",
    ),
    (
        "pg_catalog.pg_index",
        "indexrelid:oid indrelid:oid indnatts:int2 indnkeyatts:int2 indisunique:bool indnullsnotdistinct:bool indisprimary:bool indisexclusion:bool indimmediate:bool indisclustered:bool indisvalid:bool indcheckxmin:bool indisready:bool indislive:bool indisreplident:bool indkey indcollation indclass indoption indexprs indpred",
    ),
    ("pg_catalog.pg_indexes", "schemaname:name tablename:name indexname:name tablespace:name indexdef"),
    (
        "pg_catalog.pg_constraint",
        "oid:oid conname:name connamespace:oid contype:char condeferrable:bool condeferred:bool convalidated:bool conrelid:oid contypid:oid conindid:oid conparentid:oid confrelid:oid confupdtype:char confdeltype:char confmatchtype:char conislocal:bool coninhcount:int4 connoinherit:bool conkey:int2[] confkey:int2[] conpfeqop conppeqop conffeqop conexclop conbin",
    ),
    ("pg_catalog.pg_attrdef", "oid:oid adrelid:oid adnum:int2 adbin"),
    ("pg_catalog.pg_description", "objoid:oid classoid:oid objsubid:int4 description"),
    ("pg_catalog.pg_shdescription", "objoid:oid classoid:oid description"),
    (
        "pg_catalog.pg_proc",
        "oid:oid proname:name pronamespace:oid proowner:oid prolang:oid procost:float4 prorows:float4 provariadic:oid prokind:char prosecdef:bool proleakproof:bool proisstrict:bool proretset:bool provolatile:char proparallel:char pronargs:int2 pronargdefaults:int2 prorettype:oid proargtypes proallargtypes proargmodes proargnames proargdefaults prosrc probin proconfig proacl",
    ),
    ("pg_catalog.pg_language", "oid:oid lanname:name lanowner:oid lanispl:bool lanpltrusted:bool lanacl:text[]"),
    (
        "pg_catalog.pg_operator",
        "oid:oid oprname:name oprnamespace:oid oprowner:oid oprkind:char oprleft:oid oprright:oid oprresult:oid oprcode:regproc",
    ),
    ("pg_catalog.pg_cast", "oid:oid castsource:oid casttarget:oid castfunc:oid castcontext:char castmethod:char"),
    ("pg_catalog.pg_aggregate", "aggfnoid:regproc aggkind:char aggnumdirectargs:int2"),
    (
        "pg_catalog.pg_extension",
        "oid:oid extname:name extowner:oid extnamespace:oid extrelocatable:bool extversion extconfig extcondition",
    ),
    ("pg_catalog.pg_available_extensions", "name:name default_version installed_version comment"),
    ("pg_catalog.pg_inherits", "inhrelid:oid inhparent:oid inhseqno:int4 inhdetachpending:bool"),
    (
        "pg_catalog.pg_partitioned_table",
        "partrelid:oid partstrat:char partnatts:int2 partdefid:oid partattrs partclass partcollation partexprs",
    ),
    (
        "pg_catalog.pg_trigger",
        "oid:oid tgrelid:oid tgparentid:oid tgname:name tgfoid:oid tgtype:int2 tgenabled:char tgisinternal:bool tgconstrrelid:oid tgconstrindid:oid tgconstraint:oid tgdeferrable:bool tginitdeferred:bool tgnargs:int2 tgattr tgargs tgqual tgoldtable:name tgnewtable:name",
    ),
    ("pg_catalog.pg_event_trigger", "oid:oid evtname:name evtevent:name evtowner:oid evtfoid:oid evtenabled:char evttags:text[]"),
    (
        "pg_catalog.pg_rewrite",
        "oid:oid rulename:name ev_class:oid ev_type:char ev_enabled:char is_instead:bool ev_qual ev_action",
    ),
    ("pg_catalog.pg_rules", "schemaname:name tablename:name rulename:name definition"),
    (
        "pg_catalog.pg_policy",
        "oid:oid polname:name polrelid:oid polcmd:char polpermissive:bool polroles:oid[] polqual polwithcheck",
    ),
    (
        "pg_catalog.pg_statistic_ext",
        "oid:oid stxrelid:oid stxname:name stxnamespace:oid stxowner:oid stxstattarget:int4 stxkeys stxkind:char[] stxexprs",
    ),
    (
        "pg_catalog.pg_publication",
        "oid:oid pubname:name pubowner:oid puballtables:bool pubinsert:bool pubupdate:bool pubdelete:bool pubtruncate:bool pubviaroot:bool",
    ),
    ("pg_catalog.pg_publication_rel", "oid:oid prpubid:oid prrelid:oid prqual prattrs"),
    ("pg_catalog.pg_publication_namespace", "oid:oid pnpubid:oid pnnspid:oid"),
    ("pg_catalog.pg_subscription", "oid:oid subdbid:oid subname:name subowner:oid subenabled:bool"),
    ("pg_catalog.pg_foreign_table", "ftrelid:oid ftserver:oid ftoptions:text[]"),
    (
        "pg_catalog.pg_foreign_server",
        "oid:oid srvname:name srvowner:oid srvfdw:oid srvtype srvversion srvacl:text[] srvoptions:text[]",
    ),
    (
        "pg_catalog.pg_foreign_data_wrapper",
        "oid:oid fdwname:name fdwowner:oid fdwhandler:oid fdwvalidator:oid fdwacl:text[] fdwoptions:text[]",
    ),
    ("pg_catalog.pg_user_mapping", "oid:oid umuser:oid umserver:oid umoptions:text[]"),
    ("pg_catalog.pg_depend", "classid:oid objid:oid objsubid:int4 refclassid:oid refobjid:oid refobjsubid:int4 deptype:char"),
    (
        "pg_catalog.pg_collation",
        "oid:oid collname:name collnamespace:oid collowner:oid collprovider:char collisdeterministic:bool collencoding:int4 collcollate collctype colliculocale collversion",
    ),
    ("pg_catalog.pg_enum", "oid:oid enumtypid:oid enumsortorder:float4 enumlabel:name"),
    (
        "pg_catalog.pg_range",
        "rngtypid:oid rngsubtype:oid rngmultitypid:oid rngcollation:oid rngsubopc:oid rngcanonical:regproc rngsubdiff:regproc",
    ),
    (
        "pg_catalog.pg_sequence",
        "seqrelid:oid seqtypid:oid seqstart:int8 seqincrement:int8 seqmax:int8 seqmin:int8 seqcache:int8 seqcycle:bool",
    ),
    ("pg_catalog.pg_db_role_setting", "setdatabase:oid setrole:oid setconfig:text[]"),
    ("pg_catalog.pg_default_acl", "oid:oid defaclrole:oid defaclnamespace:oid defaclobjtype:char defaclacl:text[]"),
    (
        "pg_catalog.pg_opclass",
        "oid:oid opcmethod:oid opcname:name opcnamespace:oid opcowner:oid opcfamily:oid opcintype:oid opcdefault:bool opckeytype:oid",
    ),
    ("pg_catalog.pg_locks", "locktype database:oid relation:oid pid:int4 mode granted:bool"),
    ("pg_catalog.pg_prepared_xacts", "transaction:int4 gid prepared owner:name database:name"),
    (
        "information_schema.schemata",
        "catalog_name schema_name schema_owner default_character_set_catalog default_character_set_schema default_character_set_name sql_path",
    ),
    (
        "information_schema.tables",
        "table_catalog table_schema table_name table_type self_referencing_column_name reference_generation user_defined_type_catalog user_defined_type_schema user_defined_type_name is_insertable_into is_typed commit_action is_joinable is_broadcast",
    ),
    (
        "information_schema.columns",
        "table_catalog table_schema table_name column_name ordinal_position:int4 column_default is_nullable data_type character_maximum_length:int4 character_octet_length:int4 numeric_precision:int4 numeric_precision_radix:int4 numeric_scale:int4 datetime_precision:int4 interval_type interval_precision:int4 character_set_catalog character_set_schema character_set_name collation_catalog collation_schema collation_name domain_catalog domain_schema domain_name udt_catalog udt_schema udt_name is_identity is_generated is_updatable jdbc_type:int4 druid_type",
    ),
    (
        "information_schema.views",
        "table_catalog table_schema table_name view_definition check_option is_updatable is_insertable_into",
    ),
    (
        "information_schema.routines",
        "specific_catalog specific_schema specific_name routine_catalog routine_schema routine_name routine_type data_type is_aggregator signatures",
    ),
    (
        "information_schema.table_constraints",
        "constraint_catalog constraint_schema constraint_name table_catalog table_schema table_name constraint_type is_deferrable initially_deferred enforced",
    ),
    (
        "information_schema.key_column_usage",
        "constraint_catalog constraint_schema constraint_name table_catalog table_schema table_name column_name ordinal_position:int4 position_in_unique_constraint:int4",
    ),
    (
        "information_schema.constraint_column_usage",
        "table_catalog table_schema table_name column_name constraint_catalog constraint_schema constraint_name",
    ),
    (
        "information_schema.referential_constraints",
        "constraint_catalog constraint_schema constraint_name unique_constraint_catalog unique_constraint_schema unique_constraint_name match_option update_rule delete_rule",
    ),
    (
        "information_schema.table_privileges",
        "grantor grantee table_catalog table_schema table_name privilege_type is_grantable with_hierarchy",
    ),
    ("information_schema.sequences", "sequence_catalog sequence_schema sequence_name data_type"),
    (
        "information_schema.triggers",
        "trigger_catalog trigger_schema trigger_name event_manipulation event_object_catalog event_object_schema event_object_table action_statement action_timing",
    ),
    (
        "information_schema.parameters",
        "specific_catalog specific_schema specific_name ordinal_position:int4 parameter_mode parameter_name data_type",
    ),
];

/// The full name of a table; without a schema those of `pg_catalog` are meant.
pub fn full_name(schema: Option<&str>, name: &str) -> Option<&'static str> {
    let wanted = match schema {
        Some(schema) => format!("{schema}.{name}"),
        None => format!("pg_catalog.{name}"),
    };
    TABLES.iter().map(|(name, _)| *name).find(|name| name.eq_ignore_ascii_case(&wanted))
}

/// Columns of a table by its full name.
pub fn columns(full: &str) -> Vec<(String, Type)> {
    let list = TABLES.iter().find(|(name, _)| *name == full).map_or("", |(_, list)| list);
    let column = |text: &str| match text.split_once(':') {
        Some((name, "char")) => (name.to_owned(), Type::CHAR),
        Some((name, "char[]")) => (name.to_owned(), Type::CHAR_ARRAY),
        Some((name, t)) => (name.to_owned(), super::types::by_name(t).unwrap_or(Type::TEXT)),
        None => (text.to_owned(), Type::TEXT),
    };
    list.split_whitespace().map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_known_type_and_a_name_of_its_own() {
        for (table, list) in TABLES {
            let mut seen = std::collections::HashSet::new();
            for text in list.split_whitespace() {
                let (name, t) = text.split_once(':').unwrap_or((text, "text"));
                assert!(seen.insert(name), "{table}.{name}");
                assert!(super::super::types::by_name(t).is_some(), "{table}.{name}: {t}");
            }
        }
        assert_eq!(full_name(None, "PG_CLASS"), Some("pg_catalog.pg_class"));
        assert_eq!(full_name(Some("information_schema"), "pg_class"), None);
    }
}

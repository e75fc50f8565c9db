//! From SQL text to a syntax tree: a recursive-descent parser for Druid's dialect of Calcite SQL.

pub mod ast;
mod expr;
mod lexer;
mod quantified;
mod query;
#[cfg(test)]
mod tests;

use ovate_base::{DruidError, Result};

use ast::{Expr, Ident, Ingest, Literal, Pos, Statement, StatementBody, TypeName};
use lexer::{Kind, Token};

/// How deep expressions and queries may nest; beyond it the text is refused instead of the stack running out.
const DEPTH_MAX: usize = 200;

/// How many operators, joins or set operations may stand in a row: each makes the tree one level deeper.
const CHAIN_MAX: usize = 2_000;
/// Longest text of a statement.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// Parses one statement, with an optional `;` after it.
pub fn parse_statement(text: &str) -> Result<Statement> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("SQL text has {} bytes, more than the {TEXT_BYTES_MAX} that are allowed", text.len());
        return Err(DruidError::invalid_sql(message));
    }
    let tokens = lexer::tokenize(text)?;
    let mut parser = Parser { tokens, at: 0, parameters: 0, depth: 0, quantified: 0 };
    let statement = parser.statement()?;
    parser.accept_symbol(";");
    if parser.token().kind != Kind::End {
        return Err(parser.unexpected("<EOF>"));
    }
    Ok(statement)
}

/// Words that cannot be an alias without AS, nor a bare name.
const RESERVED: &[&str] = &[
    "ALL",
    "AND",
    "ANY",
    "ARRAY",
    "AS",
    "ASC",
    "BETWEEN",
    "BOTH",
    "BY",
    "CASE",
    "CAST",
    "CLUSTERED",
    "CREATE",
    "CROSS",
    "CUBE",
    "DEFAULT",
    "DELETE",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "ESCAPE",
    "EXCEPT",
    "EXISTS",
    "EXTEND",
    "FALSE",
    "FETCH",
    "FILTER",
    "FOR",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "IN",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "LATERAL",
    "LEADING",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MERGE",
    "MINUS",
    "NATURAL",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "OVERWRITE",
    "PARTITION",
    "PARTITIONED",
    "PIVOT",
    "QUALIFY",
    "REPLACE",
    "RETURNING",
    "RIGHT",
    "ROLLUP",
    "ROW",
    "ROWS",
    "SELECT",
    "SET",
    "SIMILAR",
    "SOME",
    "SYMMETRIC",
    "TABLE",
    "TABLESAMPLE",
    "THEN",
    "TO",
    "TRAILING",
    "TRUE",
    "UNION",
    "UNKNOWN",
    "UNNEST",
    "UNPIVOT",
    "UPDATE",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
    "WITHIN",
    "WITHOUT",
];

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    parameters: usize,
    depth: usize,
    /// Comparisons with ALL, ANY or SOME of a query so far.
    quantified: usize,
}

impl Parser {
    fn token(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn peek_kind(&self, ahead: usize) -> &Kind {
        &self.tokens[(self.at + ahead).min(self.tokens.len() - 1)].kind
    }

    fn pos(&self) -> Pos {
        self.token().pos
    }

    fn advance(&mut self) -> Token {
        let token = self.token().clone();
        self.at += 1;
        token
    }

    fn unexpected(&self, wanted: &str) -> DruidError {
        let token = self.token();
        DruidError::invalid_sql(format!(
            "Received an unexpected token [{}] (line [{}], column [{}]), acceptable options: [{}]",
            token.shown(),
            token.pos.line,
            token.pos.column,
            wanted
        ))
        .with_context("line", token.pos.line.to_string())
        .with_context("column", token.pos.column.to_string())
        .with_context("token", token.shown())
        .with_context("expected", wanted)
    }

    fn at_word(&self, word: &str) -> bool {
        self.word_ahead(0, word)
    }

    fn word_ahead(&self, ahead: usize, word: &str) -> bool {
        matches!(self.peek_kind(ahead), Kind::Word { upper, .. } if upper == word)
    }

    fn symbol_ahead(&self, ahead: usize, symbol: &str) -> bool {
        matches!(self.peek_kind(ahead), Kind::Symbol(text) if *text == symbol)
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.at += 1;
        }
        found
    }

    /// Accepts all of these words in a row, or none.
    fn accept_words(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(i, word)| self.word_ahead(i, word));
        if found {
            self.at += words.len();
        }
        found
    }

    fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.accept_word(word) { Ok(()) } else { Err(self.unexpected(&format!("\"{word}\""))) }
    }

    fn at_symbol(&self, symbol: &str) -> bool {
        self.symbol_ahead(0, symbol)
    }

    fn accept_symbol(&mut self, symbol: &str) -> bool {
        let found = self.at_symbol(symbol);
        if found {
            self.at += 1;
        }
        found
    }

    fn expect_symbol(&mut self, symbol: &str) -> Result<()> {
        if self.accept_symbol(symbol) { Ok(()) } else { Err(self.unexpected(&format!("\"{symbol}\""))) }
    }

    fn is_reserved(word: &str) -> bool {
        RESERVED.binary_search(&word).is_ok()
    }

    /// An identifier, if the next token can be one.
    fn accept_ident(&mut self) -> Option<Ident> {
        let token = self.token();
        let ident = match &token.kind {
            Kind::Quoted(value) => Ident { value: value.clone(), quoted: true, pos: token.pos },
            Kind::Word { text, upper } if !Self::is_reserved(upper) => {
                Ident { value: text.clone(), quoted: false, pos: token.pos }
            }
            _ => return None,
        };
        self.at += 1;
        Some(ident)
    }

    fn ident(&mut self) -> Result<Ident> {
        self.accept_ident().ok_or_else(|| self.unexpected("<IDENTIFIER>"))
    }

    fn ident_path(&mut self) -> Result<Vec<Ident>> {
        let mut path = vec![self.ident()?];
        while self.at_symbol(".") {
            self.at += 1;
            path.push(self.any_ident()?);
        }
        Ok(path)
    }

    /// After a point a reserved word is fine too.
    fn any_ident(&mut self) -> Result<Ident> {
        let token = self.token().clone();
        if let Kind::Word { text, .. } = token.kind {
            self.at += 1;
            return Ok(Ident { value: text, quoted: false, pos: token.pos });
        }
        self.ident()
    }

    fn ident_list(&mut self) -> Result<Vec<Ident>> {
        self.expect_symbol("(")?;
        let mut list = vec![self.ident()?];
        while self.accept_symbol(",") {
            list.push(self.ident()?);
        }
        self.expect_symbol(")")?;
        Ok(list)
    }

    /// Counts one more link of a chain that makes the tree deeper, or refuses.
    fn link(&self, count: &mut usize) -> Result<()> {
        *count += 1;
        if *count > CHAIN_MAX {
            return Err(DruidError::invalid_sql(format!("SQL has more than {CHAIN_MAX} operators in a row")));
        }
        Ok(())
    }

    /// Runs `parse` one level deeper, or refuses.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH_MAX {
            return Err(DruidError::invalid_sql(format!("SQL nests deeper than {DEPTH_MAX} levels")));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn statement(&mut self) -> Result<Statement> {
        let mut options = Vec::new();
        while self.accept_word("SET") {
            let key = match self.advance().kind {
                Kind::Word { text, .. } | Kind::Quoted(text) => text,
                _ => {
                    self.at -= 1;
                    return Err(self.unexpected("<IDENTIFIER>"));
                }
            };
            self.expect_symbol("=")?;
            options.push((key, self.option_literal()?));
            self.expect_symbol(";")?;
        }
        let explain = self.accept_words(&["EXPLAIN", "PLAN"]);
        if explain && !self.accept_word("FOR") {
            let _ = self.accept_words(&["WITH", "IMPLEMENTATION"]) || self.accept_words(&["WITHOUT", "IMPLEMENTATION"]);
            self.accept_words(&["AS", "JSON"]);
            self.expect_word("FOR")?;
        }
        let body = if self.at_word("INSERT") || (self.at_word("REPLACE") && self.word_ahead(1, "INTO")) {
            StatementBody::Ingest(self.ingest()?)
        } else {
            StatementBody::Query(self.query()?)
        };
        Ok(Statement { options, explain, body, parameters: self.parameters })
    }

    fn option_literal(&mut self) -> Result<Literal> {
        let negative = self.accept_symbol("-");
        let token = self.advance();
        let sign = |text: String| if negative { format!("-{text}") } else { text };
        match token.kind {
            Kind::String(text) if !negative => Ok(Literal::String(text)),
            Kind::Number { text, point, exponent } => Ok(match (point, exponent) {
                (false, false) => Literal::Integer(sign(text)),
                (true, false) => Literal::Decimal(sign(text)),
                _ => Literal::Double(sign(text)),
            }),
            Kind::Word { upper, .. } if !negative && upper == "TRUE" => Ok(Literal::Boolean(true)),
            Kind::Word { upper, .. } if !negative && upper == "FALSE" => Ok(Literal::Boolean(false)),
            Kind::Word { upper, .. } if !negative && upper == "NULL" => Ok(Literal::Null),
            _ => {
                self.at -= 1;
                Err(DruidError::invalid_sql("Assigned value must be a literal: SET statements take literals only"))
            }
        }
    }

    fn ingest(&mut self) -> Result<Ingest> {
        let replace = self.accept_word("REPLACE");
        if !replace {
            self.expect_word("INSERT")?;
        }
        self.expect_word("INTO")?;
        let target = self.ident_path()?;
        let overwrite = if replace {
            self.expect_word("OVERWRITE")?;
            if self.accept_word("ALL") {
                Some(None)
            } else {
                self.expect_word("WHERE")?;
                Some(Some(self.expr()?))
            }
        } else {
            None
        };
        let query = self.query()?;
        let mut partitioned_by = None;
        if self.accept_words(&["PARTITIONED", "BY"]) {
            partitioned_by = Some(self.partition_expr()?);
        }
        let mut clustered_by = Vec::new();
        if self.accept_words(&["CLUSTERED", "BY"]) {
            clustered_by.push(self.expr()?);
            while self.accept_symbol(",") {
                clustered_by.push(self.expr()?);
            }
        }
        Ok(Ingest { replace: overwrite, target, query, partitioned_by, clustered_by })
    }

    fn partition_expr(&mut self) -> Result<Expr> {
        let pos = self.pos();
        for word in ["ALL", "HOUR", "DAY", "MONTH", "YEAR"] {
            if self.accept_word(word) {
                self.accept_word("TIME");
                return Ok(Expr { kind: ast::ExprKind::Symbol(word.to_owned()), pos });
            }
        }
        self.expr()
    }

    fn type_name(&mut self) -> Result<TypeName> {
        let token = self.advance();
        let pos = token.pos;
        let mut name = match token.kind {
            Kind::Word { upper, .. } => upper,
            Kind::Quoted(text) => text,
            _ => {
                self.at -= 1;
                return Err(self.unexpected("a type name"));
            }
        };
        let mut native = None;
        if name == "TYPE" && self.accept_symbol("(") {
            match self.advance().kind {
                Kind::String(text) => native = Some(text),
                _ => {
                    self.at -= 1;
                    return Err(self.unexpected("a type in quotes"));
                }
            }
            self.expect_symbol(")")?;
        } else if self.accept_symbol("(") {
            while !self.accept_symbol(")") {
                if self.token().kind == Kind::End {
                    return Err(self.unexpected("\")\""));
                }
                self.at += 1;
            }
        }
        if name == "DOUBLE" {
            self.accept_word("PRECISION");
        }
        if (name == "CHAR" || name == "CHARACTER") && self.accept_word("VARYING") {
            name = "VARCHAR".to_owned();
        }
        if name == "TIMESTAMP" && (self.at_word("WITH") || self.at_word("WITHOUT")) && !self.word_ahead(1, "(") {
            self.at += 1;
            self.accept_word("LOCAL");
            self.expect_word("TIME")?;
            self.expect_word("ZONE")?;
        }
        let mut arrays = 0;
        while self.accept_word("ARRAY") || self.accept_word("MULTISET") {
            arrays += 1;
        }
        Ok(TypeName { name, native, arrays, pos })
    }
}

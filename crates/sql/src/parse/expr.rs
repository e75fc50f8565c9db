//! Expressions, by precedence climbing with Calcite's precedences.

use ovate_base::Result;

use super::Parser;
use super::ast::*;
use super::lexer::Kind;

const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const IS: u8 = 4;
const COMPARE: u8 = 5;
const ADD: u8 = 6;
const MULTIPLY: u8 = 7;

const TIME_UNITS: &[&str] = &[
    "MICROSECOND",
    "MILLISECOND",
    "SECOND",
    "MINUTE",
    "HOUR",
    "DAY",
    "WEEK",
    "MONTH",
    "QUARTER",
    "YEAR",
    "DECADE",
    "CENTURY",
    "MILLENNIUM",
    "EPOCH",
    "DOW",
    "ISODOW",
    "DOY",
    "ISOYEAR",
];

impl Parser {
    pub(super) fn expr(&mut self) -> Result<Expr> {
        self.deeper(|p| p.binary(0))
    }

    /// An expression without boolean operators at its top, as between BETWEEN and AND.
    pub(super) fn operand(&mut self) -> Result<Expr> {
        self.deeper(|p| p.binary(COMPARE))
    }

    fn binary(&mut self, min: u8) -> Result<Expr> {
        let mut left = self.prefix(min)?;
        let mut links = 0;
        while let Some(next) = self.infix(&left, min)? {
            self.link(&mut links)?;
            left = next;
        }
        Ok(left)
    }

    fn prefix(&mut self, min: u8) -> Result<Expr> {
        let pos = self.pos();
        if min <= NOT && self.at_word("NOT") {
            self.at += 1;
            let inner = self.deeper(|p| p.binary(NOT))?;
            return Ok(Expr { kind: ExprKind::Not(Box::new(inner)), pos });
        }
        if self.accept_symbol("-") {
            let inner = self.deeper(|p| p.prefix(MULTIPLY))?;
            return Ok(Expr { kind: ExprKind::Negate(Box::new(inner)), pos });
        }
        if self.accept_symbol("+") {
            return self.deeper(|p| p.prefix(MULTIPLY));
        }
        let mut base = self.primary()?;
        let mut links = 0;
        while self.accept_symbol("[") {
            self.link(&mut links)?;
            let index = self.expr()?;
            self.expect_symbol("]")?;
            base = Expr { kind: ExprKind::Item { base: Box::new(base), index: Box::new(index) }, pos };
        }
        Ok(base)
    }

    fn infix_operator(&self) -> Option<(BinaryOp, u8)> {
        match self.peek_kind(0) {
            Kind::Symbol(symbol) => Some(match *symbol {
                "=" => (BinaryOp::Eq, COMPARE),
                "<>" | "!=" => (BinaryOp::NotEq, COMPARE),
                "<" => (BinaryOp::Lt, COMPARE),
                "<=" => (BinaryOp::LtEq, COMPARE),
                ">" => (BinaryOp::Gt, COMPARE),
                ">=" => (BinaryOp::GtEq, COMPARE),
                "+" => (BinaryOp::Plus, ADD),
                "-" => (BinaryOp::Minus, ADD),
                "*" => (BinaryOp::Multiply, MULTIPLY),
                "/" => (BinaryOp::Divide, MULTIPLY),
                "%" => (BinaryOp::Modulo, MULTIPLY),
                "||" => (BinaryOp::Concat, MULTIPLY),
                _ => return None,
            }),
            Kind::Word { upper, .. } => match upper.as_str() {
                "OR" => Some((BinaryOp::Or, OR)),
                "AND" => Some((BinaryOp::And, AND)),
                _ => None,
            },
            _ => None,
        }
    }

    /// What follows `left`, if its operator binds tighter than `min`.
    fn infix(&mut self, left: &Expr, min: u8) -> Result<Option<Expr>> {
        let pos = left.pos;
        let boxed = || Box::new(left.clone());
        if let Some((op, precedence)) = self.infix_operator() {
            if precedence <= min {
                return Ok(None);
            }
            self.at += 1;
            if precedence == COMPARE
                && (self.at_word("ANY") || self.at_word("SOME") || self.at_word("ALL"))
                && self.symbol_ahead(1, "(")
            {
                return self.quantified(left, op).map(Some);
            }
            let right = self.deeper(|p| p.binary(precedence))?;
            return Ok(Some(Expr { kind: ExprKind::Binary(op, boxed(), Box::new(right)), pos }));
        }
        if IS > min && self.accept_word("IS") {
            let negated = self.accept_word("NOT");
            if self.accept_words(&["DISTINCT", "FROM"]) {
                let right = Box::new(self.deeper(|p| p.binary(COMPARE))?);
                return Ok(Some(Expr { kind: ExprKind::IsDistinct { left: boxed(), right, negated }, pos }));
            }
            let test = if self.accept_word("NULL") {
                IsTest::Null
            } else if self.accept_word("TRUE") {
                IsTest::True
            } else if self.accept_word("FALSE") {
                IsTest::False
            } else if self.accept_word("UNKNOWN") {
                IsTest::Unknown
            } else {
                return Err(self.unexpected("\"NULL\", \"TRUE\", \"FALSE\", \"UNKNOWN\", \"DISTINCT\""));
            };
            return Ok(Some(Expr { kind: ExprKind::Is { expr: boxed(), test, negated }, pos }));
        }
        if COMPARE <= min {
            return Ok(None);
        }
        let negated = self.at_word("NOT") && ["IN", "BETWEEN", "LIKE", "SIMILAR"].iter().any(|word| self.word_ahead(1, word));
        if negated {
            self.at += 1;
        }
        if self.accept_word("IN") {
            return self.in_list(left, negated).map(Some);
        }
        if self.accept_word("BETWEEN") {
            let symmetric = self.accept_word("SYMMETRIC");
            if !symmetric {
                self.accept_word("ASYMMETRIC");
            }
            let low = Box::new(self.operand()?);
            self.expect_word("AND")?;
            let high = Box::new(self.operand()?);
            return Ok(Some(Expr { kind: ExprKind::Between { expr: boxed(), low, high, negated, symmetric }, pos }));
        }
        let similar = self.at_word("SIMILAR");
        if similar || self.at_word("LIKE") {
            self.at += 1;
            if similar {
                self.expect_word("TO")?;
            }
            let pattern = Box::new(self.operand()?);
            let escape = if self.accept_word("ESCAPE") { Some(Box::new(self.operand()?)) } else { None };
            return Ok(Some(Expr { kind: ExprKind::Like { expr: boxed(), pattern, escape, negated, similar }, pos }));
        }
        Ok(None)
    }

    pub(super) fn in_list(&mut self, left: &Expr, negated: bool) -> Result<Expr> {
        let pos = left.pos;
        let expr = Box::new(left.clone());
        self.expect_symbol("(")?;
        if self.starts_query() {
            let query = Box::new(self.query()?);
            self.expect_symbol(")")?;
            return Ok(Expr { kind: ExprKind::InQuery { expr, query, negated }, pos });
        }
        let mut list = vec![self.expr()?];
        while self.accept_symbol(",") {
            list.push(self.expr()?);
        }
        self.expect_symbol(")")?;
        Ok(Expr { kind: ExprKind::InList { expr, list, negated }, pos })
    }

    pub(super) fn starts_query(&self) -> bool {
        let mut ahead = 0;
        while self.symbol_ahead(ahead, "(") {
            ahead += 1;
        }
        self.word_ahead(ahead, "SELECT") || self.word_ahead(ahead, "WITH") || (ahead == 0 && self.word_ahead(0, "VALUES"))
    }

    fn primary(&mut self) -> Result<Expr> {
        let pos = self.pos();
        let token = self.token().clone();
        let literal = |kind| Ok(Expr { kind: ExprKind::Literal(kind), pos });
        match token.kind {
            Kind::String(text) => {
                self.at += 1;
                let mut text = text;
                // Adjacent texts are one, as in the standard.
                while let Kind::String(more) = self.peek_kind(0) {
                    text.push_str(&more.clone());
                    self.at += 1;
                }
                literal(Literal::String(text))
            }
            Kind::Number { text, point, exponent } => {
                self.at += 1;
                literal(match (point, exponent) {
                    (_, true) => Literal::Double(text),
                    (true, false) => Literal::Decimal(text),
                    (false, false) => Literal::Integer(text),
                })
            }
            Kind::Symbol("?") => {
                self.at += 1;
                self.parameters += 1;
                Ok(Expr { kind: ExprKind::Parameter(self.parameters - 1), pos })
            }
            Kind::Symbol("*") => {
                self.at += 1;
                Ok(Expr { kind: ExprKind::Star, pos })
            }
            Kind::Symbol("(") => self.parenthesised(),
            Kind::Quoted(_) => self.name_or_call(),
            Kind::Word { upper, .. } => self.word_expr(&upper),
            _ => Err(self.unexpected("an expression")),
        }
    }

    fn parenthesised(&mut self) -> Result<Expr> {
        let pos = self.pos();
        if self.symbol_ahead(0, "(") {
            let start = self.at;
            self.at += 1;
            if self.starts_query() {
                let parameters = self.parameters;
                let nested = self.at_symbol("(");
                match self.query().and_then(|query| self.expect_symbol(")").map(|()| query)) {
                    Ok(query) => return Ok(Expr { kind: ExprKind::Subquery(Box::new(query)), pos }),
                    Err(error) if !nested => return Err(error),
                    Err(_) => {
                        self.at = start + 1;
                        self.parameters = parameters;
                    }
                }
            }
        }
        let first = self.expr()?;
        if self.accept_symbol(")") {
            return Ok(first);
        }
        let mut list = vec![first];
        while self.accept_symbol(",") {
            list.push(self.expr()?);
        }
        self.expect_symbol(")")?;
        Ok(Expr { kind: ExprKind::Row(list), pos })
    }

    fn word_expr(&mut self, upper: &str) -> Result<Expr> {
        let pos = self.pos();
        let literal = |kind| Ok(Expr { kind: ExprKind::Literal(kind), pos });
        match upper {
            "NULL" | "TRUE" | "FALSE" | "UNKNOWN" => {
                self.at += 1;
                literal(match upper {
                    "TRUE" => Literal::Boolean(true),
                    "FALSE" => Literal::Boolean(false),
                    _ => Literal::Null,
                })
            }
            "TIMESTAMP" | "DATE" | "TIME" if matches!(self.peek_kind(1), Kind::String(_)) => {
                self.at += 1;
                let Kind::String(text) = self.advance().kind else { return Err(self.unexpected("text")) };
                literal(match upper {
                    "TIMESTAMP" => Literal::Timestamp(text),
                    "DATE" => Literal::Date(text),
                    _ => Literal::Time(text),
                })
            }
            "INTERVAL" => self.interval(),
            "CASE" => self.case(),
            "CAST" | "TRY_CAST" | "SAFE_CAST" if self.symbol_ahead(1, "(") => {
                self.at += 2;
                let expr = Box::new(self.expr()?);
                self.expect_word("AS")?;
                let to = self.type_name()?;
                self.expect_symbol(")")?;
                Ok(Expr { kind: ExprKind::Cast { expr, to }, pos })
            }
            "EXISTS" => {
                self.at += 1;
                self.expect_symbol("(")?;
                let query = Box::new(self.query()?);
                self.expect_symbol(")")?;
                Ok(Expr { kind: ExprKind::Exists(query), pos })
            }
            "ARRAY" => self.array(),
            "ROW" if self.symbol_ahead(1, "(") => {
                self.at += 2;
                let mut list = vec![self.expr()?];
                while self.accept_symbol(",") {
                    list.push(self.expr()?);
                }
                self.expect_symbol(")")?;
                Ok(Expr { kind: ExprKind::Row(list), pos })
            }
            "CURRENT_TIMESTAMP" | "CURRENT_DATE" | "CURRENT_TIME" | "LOCALTIMESTAMP" | "LOCALTIME" | "PI"
                if !self.symbol_ahead(1, "(") =>
            {
                self.at += 1;
                if upper == "PI" && self.at_symbol(".") {
                    self.at -= 1;
                    return self.name_or_call();
                }
                Ok(self.call_expr(upper.to_owned(), Vec::new(), pos))
            }
            _ if Self::is_reserved(upper)
                && !(self.symbol_ahead(1, "(") && matches!(upper, "LEFT" | "RIGHT" | "REPLACE" | "ANY" | "SOME")) =>
            {
                Err(self.unexpected("an expression"))
            }
            _ => self.name_or_call(),
        }
    }

    fn call_expr(&self, name: String, args: Vec<Expr>, pos: Pos) -> Expr {
        let call = Call {
            written: name.clone(),
            name,
            args,
            named: Vec::new(),
            distinct: false,
            order_by: Vec::new(),
            filter: None,
            over: None,
            returning: None,
            ignore_nulls: false,
        };
        Expr { kind: ExprKind::Call(Box::new(call)), pos }
    }

    fn interval(&mut self) -> Result<Expr> {
        let pos = self.pos();
        if !matches!(self.peek_kind(1), Kind::String(_)) && !self.symbol_ahead(1, "-") && !self.symbol_ahead(1, "+") {
            return Err(self.unexpected("an interval"));
        }
        self.at += 1;
        let negative = self.accept_symbol("-");
        self.accept_symbol("+");
        let Kind::String(text) = self.advance().kind else {
            self.at -= 1;
            return Err(self.unexpected("an interval's text"));
        };
        let unit = self.time_unit()?;
        let to = if self.accept_word("TO") { Some(self.time_unit()?) } else { None };
        Ok(Expr { kind: ExprKind::Interval { negative, text, unit, to }, pos })
    }

    fn time_unit(&mut self) -> Result<String> {
        let Kind::Word { upper, .. } = self.peek_kind(0).clone() else { return Err(self.unexpected("a time unit")) };
        let singular = upper.strip_suffix('S').filter(|s| TIME_UNITS.contains(s)).unwrap_or(&upper).to_owned();
        if !TIME_UNITS.contains(&singular.as_str()) {
            return Err(self.unexpected("a time unit"));
        }
        self.at += 1;
        if self.accept_symbol("(") {
            while !self.accept_symbol(")") {
                if self.token().kind == Kind::End {
                    return Err(self.unexpected("\")\""));
                }
                self.at += 1;
            }
        }
        Ok(singular)
    }

    fn case(&mut self) -> Result<Expr> {
        let pos = self.pos();
        self.at += 1;
        let operand = if self.at_word("WHEN") { None } else { Some(Box::new(self.expr()?)) };
        let mut whens = Vec::new();
        while self.accept_word("WHEN") {
            let when = self.expr()?;
            self.expect_word("THEN")?;
            whens.push((when, self.expr()?));
        }
        if whens.is_empty() {
            return Err(self.unexpected("\"WHEN\""));
        }
        let otherwise = if self.accept_word("ELSE") { Some(Box::new(self.expr()?)) } else { None };
        self.expect_word("END")?;
        Ok(Expr { kind: ExprKind::Case { operand, whens, otherwise }, pos })
    }

    fn array(&mut self) -> Result<Expr> {
        let pos = self.pos();
        self.at += 1;
        if self.accept_symbol("(") {
            let query = Box::new(self.query()?);
            self.expect_symbol(")")?;
            return Ok(Expr { kind: ExprKind::ArrayQuery(query), pos });
        }
        self.expect_symbol("[")?;
        let mut list = Vec::new();
        if !self.at_symbol("]") {
            list.push(self.expr()?);
            while self.accept_symbol(",") {
                list.push(self.expr()?);
            }
        }
        self.expect_symbol("]")?;
        Ok(Expr { kind: ExprKind::Array(list), pos })
    }

    fn name_or_call(&mut self) -> Result<Expr> {
        let pos = self.pos();
        if self.symbol_ahead(1, "(") {
            let (name, written) = match self.advance().kind {
                Kind::Word { upper, text } => (upper, text),
                Kind::Quoted(text) => (text.to_ascii_uppercase(), text),
                _ => return Err(self.unexpected("a function name")),
            };
            self.at += 1;
            let mut expr = self.call(name, pos)?;
            if let ExprKind::Call(call) = &mut expr.kind {
                call.written = written;
            }
            return Ok(expr);
        }
        Ok(Expr { kind: ExprKind::Name(self.ident_path()?), pos })
    }

    fn symbol_arg(&mut self, text: &str, pos: Pos) -> Expr {
        Expr { kind: ExprKind::Symbol(text.to_owned()), pos }
    }

    /// The arguments of a call whose `(` is consumed, with the special grammars of some functions.
    fn call(&mut self, name: String, pos: Pos) -> Result<Expr> {
        let mut expr = self.call_expr(name.clone(), Vec::new(), pos);
        let ExprKind::Call(call) = &mut expr.kind else { return Ok(expr) };
        match name.as_str() {
            "EXTRACT" => {
                let unit_pos = self.pos();
                let unit = match self.peek_kind(0).clone() {
                    Kind::Word { .. } => self.time_unit()?,
                    Kind::String(text) => {
                        self.at += 1;
                        text.to_ascii_uppercase()
                    }
                    _ => return Err(self.unexpected("a time unit")),
                };
                self.expect_word("FROM")?;
                let from = self.expr()?;
                call.args = vec![self.symbol_arg(&unit, unit_pos), from];
            }
            "TRIM" => call.args = self.trim_args()?,
            "JSON_OBJECT" => self.json_object_args(call)?,
            _ => self.plain_args(call)?,
        }
        self.expect_symbol(")")?;
        self.call_tail(call)?;
        Ok(expr)
    }

    fn trim_args(&mut self) -> Result<Vec<Expr>> {
        let pos = self.pos();
        for word in ["BOTH", "LEADING", "TRAILING"] {
            if self.accept_word(word) {
                let mut args = vec![self.symbol_arg(word, pos)];
                if self.accept_word("FROM") {
                    args.push(self.expr()?);
                    return Ok(args);
                }
                args.push(self.expr()?);
                self.expect_word("FROM")?;
                args.push(self.expr()?);
                // Kept as side, text, characters.
                args.swap(1, 2);
                return Ok(args);
            }
        }
        let first = self.expr()?;
        if self.accept_word("FROM") {
            let text = self.expr()?;
            return Ok(vec![self.symbol_arg("BOTH", pos), text, first]);
        }
        let mut args = vec![first];
        while self.accept_symbol(",") {
            args.push(self.expr()?);
        }
        Ok(args)
    }

    fn json_object_args(&mut self, call: &mut Call) -> Result<()> {
        while !self.at_symbol(")") {
            let keyed = self.word_ahead(0, "KEY") && !self.symbol_ahead(1, ":") && !self.symbol_ahead(1, ",");
            if keyed {
                self.at += 1;
            }
            call.args.push(self.expr()?);
            if !(self.accept_symbol(":") || self.accept_word("VALUE")) {
                self.expect_symbol(",")?;
            }
            call.args.push(self.expr()?);
            if !self.accept_symbol(",") {
                break;
            }
        }
        for words in [&["NULL", "ON", "NULL"], &["ABSENT", "ON", "NULL"]] {
            self.accept_words(words);
        }
        Ok(())
    }

    fn plain_args(&mut self, call: &mut Call) -> Result<()> {
        call.distinct = self.accept_word("DISTINCT");
        if !call.distinct {
            self.accept_word("ALL");
        }
        while !self.at_symbol(")") {
            if matches!(self.peek_kind(0), Kind::Word { .. } | Kind::Quoted(_)) && self.symbol_ahead(1, "=>") {
                let name = self.any_ident()?;
                self.at += 1;
                let value = self.expr()?;
                call.named.push((name, value));
            } else {
                let pos = self.pos();
                let arg = if self.at_word("SELECT") || self.at_word("WITH") {
                    Expr { kind: ExprKind::Subquery(Box::new(self.query()?)), pos }
                } else if call.name == "POSITION" && call.args.is_empty() {
                    self.operand_without_in()?
                } else {
                    self.expr()?
                };
                call.args.push(arg);
            }
            let unit_pos = self.pos();
            if matches!(call.name.as_str(), "FLOOR" | "CEIL" | "CEILING") && self.accept_word("TO") {
                let unit = self.time_unit()?;
                let unit = self.symbol_arg(&unit, unit_pos);
                call.args.push(unit);
                return Ok(());
            }
            let separator = self.accept_symbol(",")
                || (call.name == "POSITION" && (self.accept_word("IN") || self.accept_word("FROM")))
                || (matches!(call.name.as_str(), "SUBSTRING" | "OVERLAY")
                    && (self.accept_word("FROM") || self.accept_word("FOR")));
            if !separator {
                break;
            }
        }
        if self.accept_words(&["ORDER", "BY"]) {
            call.order_by = self.order_items()?;
        }
        if self.accept_word("RETURNING") {
            call.returning = Some(self.type_name()?);
            self.skip_on_clauses()?;
        }
        if self.accept_words(&["IGNORE", "NULLS"]) {
            call.ignore_nulls = true;
        } else {
            self.accept_words(&["RESPECT", "NULLS"]);
        }
        Ok(())
    }

    fn operand_without_in(&mut self) -> Result<Expr> {
        self.deeper(|p| p.binary(COMPARE))
    }

    /// `NULL ON EMPTY` and the like of JSON_VALUE; Druid only has that behaviour.
    fn skip_on_clauses(&mut self) -> Result<()> {
        while self.at_word("NULL") && self.word_ahead(1, "ON") {
            self.at += 3;
        }
        Ok(())
    }

    fn call_tail(&mut self, call: &mut Call) -> Result<()> {
        if self.accept_words(&["WITHIN", "GROUP"]) {
            self.expect_symbol("(")?;
            self.expect_word("ORDER")?;
            self.expect_word("BY")?;
            call.order_by = self.order_items()?;
            self.expect_symbol(")")?;
        }
        if self.at_word("FILTER") && self.symbol_ahead(1, "(") {
            self.at += 2;
            self.expect_word("WHERE")?;
            call.filter = Some(self.expr()?);
            self.expect_symbol(")")?;
        }
        if self.accept_words(&["IGNORE", "NULLS"]) {
            call.ignore_nulls = true;
        } else {
            self.accept_words(&["RESPECT", "NULLS"]);
        }
        if self.accept_word("OVER") {
            call.over = Some(if self.at_symbol("(") { Over::Spec(self.window_spec()?) } else { Over::Name(self.ident()?) });
        }
        Ok(())
    }
}

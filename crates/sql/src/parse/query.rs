//! Queries: WITH, SELECT, FROM, GROUP BY, set operations, ORDER BY and LIMIT.

use ovate_base::{DruidError, Result};

use super::Parser;
use super::ast::*;

impl Parser {
    /// A query up to a token that cannot belong to it.
    pub(super) fn query(&mut self) -> Result<Query> {
        self.deeper(Self::query_inner)
    }

    fn query_inner(&mut self) -> Result<Query> {
        let mut ctes = Vec::new();
        if self.accept_word("WITH") {
            self.accept_word("RECURSIVE");
            loop {
                let name = self.ident()?;
                let columns = if self.at_symbol("(") { self.ident_list()? } else { Vec::new() };
                self.expect_word("AS")?;
                self.expect_symbol("(")?;
                let query = self.query()?;
                self.expect_symbol(")")?;
                ctes.push(Cte { name, columns, query });
                if !self.accept_symbol(",") {
                    break;
                }
            }
        }
        let body = self.query_body(0)?;
        let mut query = Query { ctes, body, order_by: Vec::new(), limit: None, offset: None };
        if self.accept_words(&["ORDER", "BY"]) {
            query.order_by = self.order_items()?;
        }
        loop {
            if query.limit.is_none() && self.accept_word("LIMIT") {
                if !self.accept_word("ALL") {
                    let first = self.expr()?;
                    if self.accept_symbol(",") {
                        query.offset = Some(first);
                        query.limit = Some(self.expr()?);
                    } else {
                        query.limit = Some(first);
                    }
                }
            } else if query.offset.is_none() && self.accept_word("OFFSET") {
                query.offset = Some(self.expr()?);
                let _ = self.accept_word("ROWS") || self.accept_word("ROW");
            } else if query.limit.is_none() && self.accept_word("FETCH") {
                if !self.accept_word("FIRST") {
                    self.expect_word("NEXT")?;
                }
                query.limit = Some(self.expr()?);
                let _ = self.accept_word("ROWS") || self.accept_word("ROW");
                self.expect_word("ONLY")?;
            } else {
                return Ok(query);
            }
        }
    }

    fn query_body(&mut self, min_precedence: u8) -> Result<QueryBody> {
        let mut left = self.query_primary()?;
        let mut links = 0;
        loop {
            self.link(&mut links)?;
            let pos = self.pos();
            let (op, precedence) = if self.at_word("UNION") {
                (SetOperator::Union, 1)
            } else if self.at_word("EXCEPT") || self.at_word("MINUS") {
                (SetOperator::Except, 1)
            } else if self.at_word("INTERSECT") {
                (SetOperator::Intersect, 2)
            } else {
                return Ok(left);
            };
            if precedence <= min_precedence {
                return Ok(left);
            }
            self.at += 1;
            let all = self.accept_word("ALL");
            if !all {
                self.accept_word("DISTINCT");
            }
            let right = self.deeper(|p| p.query_body(precedence))?;
            left = QueryBody::SetOperation { op, all, left: Box::new(left), right: Box::new(right), pos };
        }
    }

    fn query_primary(&mut self) -> Result<QueryBody> {
        if self.accept_symbol("(") {
            let query = self.query()?;
            self.expect_symbol(")")?;
            return Ok(QueryBody::Nested(Box::new(query)));
        }
        if self.accept_word("VALUES") {
            let mut rows = vec![self.values_row()?];
            while self.accept_symbol(",") {
                rows.push(self.values_row()?);
            }
            return Ok(QueryBody::Values(rows));
        }
        if self.at_word("SELECT") {
            return Ok(QueryBody::Select(Box::new(self.select()?)));
        }
        if self.at_word("TABLE") && !self.symbol_ahead(1, "(") {
            // `TABLE t` is `SELECT * FROM t`.
            let pos = self.pos();
            self.at += 1;
            let from = vec![TableRef::Table { name: self.ident_path()?, alias: None }];
            return Ok(QueryBody::Select(Box::new(Select::star(from, pos))));
        }
        Err(self.unexpected("\"SELECT\", \"VALUES\", \"WITH\", \"(\""))
    }

    fn values_row(&mut self) -> Result<Vec<Expr>> {
        self.accept_word("ROW");
        if !self.accept_symbol("(") {
            return Ok(vec![self.expr()?]);
        }
        let mut row = vec![self.expr()?];
        while self.accept_symbol(",") {
            row.push(self.expr()?);
        }
        self.expect_symbol(")")?;
        Ok(row)
    }

    fn select(&mut self) -> Result<Select> {
        let pos = self.pos();
        self.expect_word("SELECT")?;
        let distinct = self.accept_word("DISTINCT");
        if !distinct {
            self.accept_word("ALL");
        }
        let mut items = vec![self.select_item()?];
        while self.accept_symbol(",") {
            items.push(self.select_item()?);
        }
        let mut select = Select { distinct, items, ..Select::star(Vec::new(), pos) };
        if self.accept_word("FROM") {
            select.from.push(self.table_ref()?);
            while self.accept_symbol(",") {
                select.from.push(self.table_ref()?);
            }
        }
        if self.accept_word("WHERE") {
            select.filter = Some(self.expr()?);
        }
        if self.accept_words(&["GROUP", "BY"]) {
            let _ = self.accept_word("DISTINCT") || self.accept_word("ALL");
            let mut groups = vec![self.group_item()?];
            while self.accept_symbol(",") {
                groups.push(self.group_item()?);
            }
            select.group_by = Some(groups);
        }
        if self.accept_word("HAVING") {
            select.having = Some(self.expr()?);
        }
        if self.accept_word("WINDOW") {
            loop {
                let name = self.ident()?;
                self.expect_word("AS")?;
                select.windows.push((name, self.window_spec()?));
                if !self.accept_symbol(",") {
                    break;
                }
            }
        }
        if self.accept_word("QUALIFY") {
            select.qualify = Some(self.expr()?);
        }
        Ok(select)
    }

    fn select_item(&mut self) -> Result<SelectItem> {
        let pos = self.pos();
        if self.accept_symbol("*") {
            return Ok(SelectItem::Star(Vec::new(), pos));
        }
        let start = self.at;
        if let Some(first) = self.accept_ident() {
            let mut path = vec![first];
            while self.accept_symbol(".") {
                if self.accept_symbol("*") {
                    return Ok(SelectItem::Star(path, pos));
                }
                match self.accept_ident() {
                    Some(next) => path.push(next),
                    None => break,
                }
            }
            self.at = start;
        }
        let expr = self.expr()?;
        let alias = if self.accept_word("AS") { Some(self.alias_name()?) } else { self.accept_ident() };
        Ok(SelectItem::Expr { expr, alias })
    }

    /// A name after AS; only few words are barred there.
    fn alias_name(&mut self) -> Result<Ident> {
        self.ident()
    }

    fn group_item(&mut self) -> Result<GroupItem> {
        if self.word_ahead(0, "GROUPING") && self.word_ahead(1, "SETS") {
            self.at += 2;
            return Ok(GroupItem::Sets(self.group_list()?));
        }
        if self.at_word("ROLLUP") && self.symbol_ahead(1, "(") {
            self.at += 1;
            return Ok(GroupItem::Rollup(self.group_list()?));
        }
        if self.at_word("CUBE") && self.symbol_ahead(1, "(") {
            self.at += 1;
            return Ok(GroupItem::Cube(self.group_list()?));
        }
        if self.at_symbol("(") && self.symbol_ahead(1, ")") {
            self.at += 2;
            return Ok(GroupItem::Tuple(Vec::new()));
        }
        let expr = self.expr()?;
        match expr.kind {
            ExprKind::Row(list) => Ok(GroupItem::Tuple(list)),
            _ => Ok(GroupItem::Expr(expr)),
        }
    }

    fn group_list(&mut self) -> Result<Vec<GroupItem>> {
        self.expect_symbol("(")?;
        let mut list = vec![self.group_item()?];
        while self.accept_symbol(",") {
            list.push(self.group_item()?);
        }
        self.expect_symbol(")")?;
        Ok(list)
    }

    pub(super) fn order_items(&mut self) -> Result<Vec<OrderItem>> {
        let mut items = Vec::new();
        loop {
            let expr = self.expr()?;
            let descending = self.accept_word("DESC");
            if !descending {
                self.accept_word("ASC");
            }
            let nulls_first = if self.accept_words(&["NULLS", "FIRST"]) {
                Some(true)
            } else if self.accept_words(&["NULLS", "LAST"]) {
                Some(false)
            } else {
                None
            };
            items.push(OrderItem { expr, descending, nulls_first });
            if !self.accept_symbol(",") {
                return Ok(items);
            }
        }
    }

    fn table_ref(&mut self) -> Result<TableRef> {
        self.deeper(|p| {
            let mut left = p.table_operand()?;
            let mut links = 0;
            while let Some(kind) = p.join_kind()? {
                p.link(&mut links)?;
                let natural = kind.1;
                let right = p.table_operand()?;
                let on = if natural {
                    JoinOn::Natural
                } else if p.accept_word("ON") {
                    JoinOn::Condition(p.expr()?)
                } else if p.accept_word("USING") {
                    JoinOn::Using(p.ident_list()?)
                } else if kind.0 == JoinKind::Cross {
                    JoinOn::None
                } else {
                    return Err(p.unexpected("\"ON\", \"USING\""));
                };
                left = TableRef::Join { left: Box::new(left), right: Box::new(right), kind: kind.0, on };
            }
            Ok(left)
        })
    }

    /// The kind of the join that begins here, and whether it is NATURAL.
    fn join_kind(&mut self) -> Result<Option<(JoinKind, bool)>> {
        let natural = self.accept_word("NATURAL");
        let kind = if self.accept_word("JOIN") {
            return Ok(Some((JoinKind::Inner, natural)));
        } else if self.accept_word("INNER") {
            JoinKind::Inner
        } else if self.accept_word("CROSS") {
            JoinKind::Cross
        } else if self.accept_word("LEFT") {
            self.accept_word("OUTER");
            JoinKind::Left
        } else if self.accept_word("RIGHT") {
            self.accept_word("OUTER");
            JoinKind::Right
        } else if self.accept_word("FULL") {
            self.accept_word("OUTER");
            JoinKind::Full
        } else if natural {
            return Err(self.unexpected("\"JOIN\""));
        } else {
            return Ok(None);
        };
        self.expect_word("JOIN")?;
        Ok(Some((kind, natural)))
    }

    /// A table with the PIVOT or UNPIVOT that follows it.
    fn table_operand(&mut self) -> Result<TableRef> {
        let mut table = self.table_primary()?;
        loop {
            let pos = self.pos();
            if self.accept_word("PIVOT") {
                table = self.pivot(table, pos)?;
            } else if self.accept_word("UNPIVOT") {
                table = self.unpivot(table, pos)?;
            } else {
                return Ok(table);
            }
        }
    }

    fn names(&mut self) -> Result<Vec<Ident>> {
        if self.at_symbol("(") { self.ident_list() } else { Ok(vec![self.ident()?]) }
    }

    fn exprs(&mut self) -> Result<Vec<Expr>> {
        let expr = self.expr()?;
        Ok(match expr.kind {
            ExprKind::Row(list) => list,
            _ => vec![expr],
        })
    }

    fn pivot(&mut self, input: TableRef, pos: Pos) -> Result<TableRef> {
        self.expect_symbol("(")?;
        let mut aggregates = Vec::new();
        loop {
            let call = self.expr()?;
            let alias = if self.accept_word("AS") { Some(self.alias_name()?) } else { self.accept_ident() };
            aggregates.push((call, alias));
            if !self.accept_symbol(",") {
                break;
            }
        }
        self.expect_word("FOR")?;
        let axes = self.names()?;
        self.expect_word("IN")?;
        self.expect_symbol("(")?;
        let mut values = Vec::new();
        loop {
            let value = self.exprs()?;
            let alias = if self.accept_word("AS") { Some(self.alias_name()?) } else { self.accept_ident() };
            values.push((value, alias));
            if !self.accept_symbol(",") {
                break;
            }
        }
        self.expect_symbol(")")?;
        self.expect_symbol(")")?;
        Ok(TableRef::Pivot { input: Box::new(input), aggregates, axes, values, alias: self.table_alias()?, pos })
    }

    fn unpivot(&mut self, input: TableRef, pos: Pos) -> Result<TableRef> {
        let include_nulls = self.accept_words(&["INCLUDE", "NULLS"]);
        if !include_nulls {
            self.accept_words(&["EXCLUDE", "NULLS"]);
        }
        self.expect_symbol("(")?;
        let measures = self.names()?;
        self.expect_word("FOR")?;
        let axes = self.names()?;
        self.expect_word("IN")?;
        self.expect_symbol("(")?;
        let mut columns = Vec::new();
        loop {
            let names = self.names()?;
            let labels = if self.accept_word("AS") { self.exprs()? } else { Vec::new() };
            columns.push((names, labels));
            if !self.accept_symbol(",") {
                break;
            }
        }
        self.expect_symbol(")")?;
        self.expect_symbol(")")?;
        let alias = self.table_alias()?;
        Ok(TableRef::Unpivot { input: Box::new(input), include_nulls, measures, axes, columns, alias, pos })
    }

    fn table_primary(&mut self) -> Result<TableRef> {
        let pos = self.pos();
        let lateral = self.accept_word("LATERAL");
        if self.accept_word("UNNEST") {
            self.expect_symbol("(")?;
            let mut exprs = vec![self.expr()?];
            while self.accept_symbol(",") {
                exprs.push(self.expr()?);
            }
            self.expect_symbol(")")?;
            let with_ordinality = self.accept_words(&["WITH", "ORDINALITY"]);
            return Ok(TableRef::Unnest { exprs, with_ordinality, alias: self.table_alias()?, pos });
        }
        if self.accept_word("TABLE") {
            self.expect_symbol("(")?;
            let call = self.expr()?;
            self.expect_symbol(")")?;
            let mut extend = Vec::new();
            let explicit = self.accept_word("EXTEND");
            if explicit
                || (self.at_symbol("(")
                    && matches!(self.peek_kind(1), super::lexer::Kind::Word { .. } | super::lexer::Kind::Quoted(_)))
            {
                self.expect_symbol("(")?;
                loop {
                    let name = self.ident()?;
                    extend.push((name, self.type_name()?));
                    if !self.accept_symbol(",") {
                        break;
                    }
                }
                self.expect_symbol(")")?;
            }
            return Ok(TableRef::Function { call, extend, alias: self.table_alias()?, pos });
        }
        if self.at_symbol("(") {
            let start = self.at;
            self.at += 1;
            let mut ahead = 0;
            while self.symbol_ahead(ahead, "(") {
                ahead += 1;
            }
            if ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| self.word_ahead(ahead, word))
                && !(self.word_ahead(ahead, "TABLE") && self.symbol_ahead(ahead + 1, "("))
            {
                // A query, or a join in parentheses whose first table is a query.
                let parameters = self.parameters;
                let attempt = self.query().and_then(|query| self.expect_symbol(")").map(|()| query));
                match attempt {
                    Ok(query) => {
                        return Ok(TableRef::Derived { query: Box::new(query), lateral, alias: self.table_alias()? });
                    }
                    Err(error) if ahead == 0 => return Err(error),
                    Err(_) => {
                        self.at = start + 1;
                        self.parameters = parameters;
                    }
                }
            }
            let inner = self.table_ref()?;
            self.expect_symbol(")")?;
            if !lateral {
                return Ok(inner);
            }
        }
        if lateral {
            return Err(DruidError::invalid_sql(format!("LATERAL needs a query (line [{}], column [{}])", pos.line, pos.column)));
        }
        let name = self.ident_path()?;
        Ok(TableRef::Table { name, alias: self.table_alias()? })
    }

    fn table_alias(&mut self) -> Result<Option<Alias>> {
        let name = if self.accept_word("AS") { Some(self.alias_name()?) } else { self.accept_ident() };
        let Some(name) = name else { return Ok(None) };
        let columns = if self.at_symbol("(") { self.ident_list()? } else { Vec::new() };
        Ok(Some(Alias { name, columns }))
    }

    pub(super) fn window_spec(&mut self) -> Result<WindowSpec> {
        self.expect_symbol("(")?;
        let mut spec = WindowSpec { pos: self.tokens[self.at - 1].pos, ..WindowSpec::default() };
        if !self.at_word("PARTITION")
            && !self.at_word("ORDER")
            && !self.at_word("ROWS")
            && !self.at_word("RANGE")
            && !self.at_symbol(")")
        {
            spec.base = Some(self.ident()?);
        }
        if self.accept_words(&["PARTITION", "BY"]) {
            spec.partition_by.push(self.expr()?);
            while self.accept_symbol(",") {
                spec.partition_by.push(self.expr()?);
            }
        }
        if self.accept_words(&["ORDER", "BY"]) {
            spec.order_by = self.order_items()?;
        }
        if self.at_word("ROWS") || self.at_word("RANGE") {
            let pos = self.pos();
            let rows = self.advance_is_rows();
            let (start, end) = if self.accept_word("BETWEEN") {
                let start = self.bound()?;
                self.expect_word("AND")?;
                (start, self.bound()?)
            } else {
                // One bound alone runs to the current row, or from it.
                match self.bound()? {
                    end @ (Bound::Following(_) | Bound::UnboundedFollowing) => (Bound::CurrentRow, end),
                    start => (start, Bound::CurrentRow),
                }
            };
            spec.frame = Some(Frame { pos, rows, start, end });
        }
        self.expect_symbol(")")?;
        Ok(spec)
    }

    fn advance_is_rows(&mut self) -> bool {
        let rows = self.at_word("ROWS");
        self.at += 1;
        rows
    }

    fn bound(&mut self) -> Result<Bound> {
        if self.accept_words(&["CURRENT", "ROW"]) {
            return Ok(Bound::CurrentRow);
        }
        if self.accept_words(&["UNBOUNDED", "PRECEDING"]) {
            return Ok(Bound::UnboundedPreceding);
        }
        if self.accept_words(&["UNBOUNDED", "FOLLOWING"]) {
            return Ok(Bound::UnboundedFollowing);
        }
        let expr = Box::new(self.operand()?);
        if self.accept_word("PRECEDING") {
            return Ok(Bound::Preceding(expr));
        }
        self.expect_word("FOLLOWING")?;
        Ok(Bound::Following(expr))
    }
}
